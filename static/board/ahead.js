/* Sets out for the columns while the page is still being read. What the engine says is kept until the board listens. */
const { engine, columns } = document.querySelector('script[data-columns]').dataset;
export const worker = new Worker(engine), kept = [];
worker.onmessage = worker.onerror = event => kept.push(event);
worker.postMessage({ type: 'load', url: columns });

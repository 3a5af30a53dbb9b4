"""The REST API of annotation: one view per operation, input and output apart, with the pages' doors and verbs."""

from django.apps import AppConfig


class CurationConfig(AppConfig):
    name = "curation"
    verbose_name = "Curation"

    def ready(self) -> None:
        # Only now are the models loaded.
        from annotation.prompting import read_selections
        from curation.prompting import KEPT

        read_selections(KEPT)

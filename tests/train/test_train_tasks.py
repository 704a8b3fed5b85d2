"""What training must not know."""

from onesense.evals.tasks import composed
from onesense.train.tasks import pictures


def test_no_wording_of_the_measurement_is_trained():
    trained = {
        t.text for group in (pictures.TOGETHER, pictures.BEFORE, pictures.ABOUT, pictures.CHANGED) for t in group
    }
    measured = {query for query, _ in composed.FREE_WORDINGS}
    assert not trained & measured


def test_templates_have_only_known_places():
    words = dict.fromkeys("abmcs", "x") | {"gloss": "x", "kind": "x"}
    for group in (pictures.TOGETHER, pictures.BEFORE, pictures.ABOUT, pictures.CHANGED):
        for template in group:
            assert "{" not in template.text.format(**words) + template.meaning.format(**words)

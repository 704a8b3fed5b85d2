import pytest

from onesense.index.language import detect


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The committee will meet on Tuesday to talk about the budget for the new school.", "en"),
        ("Die Katze sitzt auf dem Sofa und wartet auf den Abend, der nicht kommt.", "de"),
        ("La reunión de los padres es el martes por la tarde en la escuela.", "es"),
        ("Le chat dort sur le canapé et les enfants jouent dans le jardin.", "fr"),
        ("Il gatto dorme sul divano e i bambini giocano nel giardino con una palla.", "it"),
        ("Кошка спит на диване, и дети играют в саду, но не с ней.", "ru"),
        ("Кішка спить на дивані, і діти грають у саду, але не з нею.", "uk"),
        ("猫を火曜日に獣医へ連れて行く", "ja"),
        ("北极的冰川正在融化", "zh"),
        ("고양이가 소파에서 잔다", "ko"),
        ("القطة تنام على الأريكة في البيت مع الأطفال", "ar"),
        ("बिल्ली सोफे पर सोती है", "hi"),
        ("xyzzy plugh", None),
        ("12 34 56", None),
        ("", None),
    ],
)
def test_languages_are_told_apart(text, expected):
    assert detect(text) == expected

"""The demo library's two PDF reports: text, tables and bar charts."""

from __future__ import annotations

from .demo_pdf import Page, write_pdf


def orchard_report() -> bytes:
    """Three pages: how the year went, a table of the harvest, a chart of rainfall."""
    year = Page("The orchard in 2025")
    year.paragraph(
        "A late frost in April took a third of the cherry blossom. The apples recovered during a mild and wet May, and "
        "the pears had their best year since the trees were planted."
    )
    year.paragraph(
        "Two beehives were added on the south side. The bees were busy from the plum blossom on and gave 41 jars of "
        "honey."
    )
    harvest = Page("Harvest by fruit")
    harvest.table(
        [
            ("Fruit", "Trees", "2024, kg", "2025, kg"),
            ("Apples", 48, 1910, 2240),
            ("Pears", 22, 640, 985),
            ("Cherries", 15, 410, 270),
            ("Plums", 19, 520, 505),
        ]
    )
    harvest.paragraph("Weighed at the press, windfall included. Cherries suffered from the April frost.")
    rain = Page("Rainfall by month")
    rain.bars({"Mar": 44, "Apr": 31, "May": 96, "Jun": 58, "Jul": 22, "Aug": 37}, (0.2, 0.45, 0.8))
    rain.paragraph("Millimetres of rain measured at the shed. The tank was empty by the end of July.")
    return write_pdf([year, harvest, rain], "Orchard report")


def shop_report() -> bytes:
    """Three pages: revenue chart, staff table, plans."""
    revenue = Page("Revenue of the bicycle shop")
    revenue.bars({"Q1": 61, "Q2": 118, "Q3": 134, "Q4": 72}, (0.85, 0.4, 0.15))
    revenue.paragraph("Revenue by quarter in thousands of euros. Summer sales and repairs carried the year.")
    staff = Page("Who works when")
    staff.table(
        [
            ("Name", "Monday", "Wednesday", "Saturday"),
            ("Amina", "workshop", "sales", "sales"),
            ("Jonas", "free", "workshop", "workshop"),
            ("Priya", "accounts", "accounts", "free"),
        ]
    )
    staff.paragraph("Holidays are entered in the calendar by the door, two weeks ahead.")
    plans = Page("Plans for next year")
    plans.paragraph(
        "A second repair stand, cargo bicycles for rent by the day, and a winter course in which customers learn to "
        "mend a flat tyre and to adjust their brakes."
    )
    return write_pdf([revenue, staff, plans], "Bicycle shop report")

"""What downloads leave in the database. The app `tasks` made these tables once: they keep their names."""

from __future__ import annotations

from django.db import models


class Sales(models.Model):
    """What one seller sold of one product on one day, as the source said it last."""

    seller_id = models.CharField(max_length=64)
    day = models.DateField()
    product_id = models.CharField(max_length=100)
    product_name = models.CharField(max_length=300)
    store_name = models.CharField(max_length=300)
    brand_name = models.CharField(max_length=300)
    venture = models.CharField(max_length=300)
    units = models.IntegerField(help_text="Negative where more came back than was sold.")
    # 15 digits: as many as a float holds exactly, which is what SQLite keeps of a decimal.
    revenue = models.DecimalField(max_digits=15, decimal_places=4)

    class Meta:
        db_table = "tasks_sales"
        verbose_name_plural = "sales"
        constraints = (models.UniqueConstraint(fields=["seller_id", "day", "product_id"], name="one_sales_row"),)

    def __str__(self) -> str:
        return f"{self.seller_id} {self.day} {self.product_id}"


class Traffic(models.Model):
    """How often one product of one seller was looked at on one day."""

    seller_id = models.CharField(max_length=64)
    day = models.DateField()
    product_id = models.CharField(max_length=100)
    pageviews = models.PositiveIntegerField()

    class Meta:
        db_table = "tasks_traffic"
        verbose_name_plural = "traffic"
        constraints = (models.UniqueConstraint(fields=["seller_id", "day", "product_id"], name="one_traffic_row"),)

    def __str__(self) -> str:
        return f"{self.seller_id} {self.day} {self.product_id}"


class SavedReport(models.Model):
    """A run has saved the report of this seller and day: its next attempt does not fetch it again."""

    run_id = models.CharField(max_length=64)
    seller_id = models.CharField(max_length=64)
    day = models.DateField()
    rows = models.PositiveIntegerField()
    bad_rows = models.PositiveIntegerField()
    saved_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "tasks_savedreport"
        constraints = (models.UniqueConstraint(fields=["run_id", "seller_id", "day"], name="one_report_of_a_run"),)

    def __str__(self) -> str:
        return f"{self.seller_id} {self.day} of {self.run_id}"


class ReportFile(models.Model):
    """A file that a run has made. The row is there before the file, so that none is forgotten in the storage."""

    run_id = models.CharField(max_length=64, db_index=True)
    kind = models.CharField(max_length=4, choices=[("csv", "CSV"), ("xlsx", "XLSX")])
    name = models.CharField(max_length=300, unique=True, help_text="In the storage.")
    filename = models.CharField(max_length=200, help_text="On the person's disk.")
    size = models.PositiveBigIntegerField(null=True, help_text="Bytes; empty until all of it is stored.")
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "tasks_reportfile"
        ordering = ("kind",)

    def __str__(self) -> str:
        return self.name

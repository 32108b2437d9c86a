"""Reads Parquet files with Spark and pickles their rows: `spark_rows.py OUT FILE…`. Run by `convert.py` in an environment of
its own, since PySpark is large and needs Java.

OUT becomes {file: (rows, columns)}; a row is a tuple, a struct a tuple, a map a list of pairs.
"""

import os
import pickle
import sys

from pyspark.sql import Row, SparkSession


def plain(value):
    if isinstance(value, Row):
        return tuple(map(plain, value))
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return [(plain(key), plain(each)) for key, each in value.items()]
    return bytes(value) if isinstance(value, bytearray) else value


def main(out, paths):
    session = SparkSession.builder.master("local[2]").appName("rows")
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
        "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
        "spark.sql.caseSensitive": "true",
    }
    for name, value in settings.items():
        session = session.config(name, value)
    spark, found = session.getOrCreate(), {}
    for path in paths:
        frame = spark.read.parquet(path)
        found[path] = ([plain(row) for row in frame.toLocalIterator()], frame.columns)
    spark.stop()
    with open(out, "wb") as file:
        pickle.dump(found, file)


if __name__ == "__main__":
    os.environ["TZ"] = "UTC"
    main(sys.argv[1], sys.argv[2:])

"""The shape of the rest: regular expressions, dates, environment read at the head, a module beside it, partition keys."""

import base64
import hashlib
import json
import logging
import os
import random
import re
import time
import uuid
from datetime import date, datetime, timedelta, timezone

from shapes import area

logger = logging.getLogger()
logger.setLevel(logging.INFO)
SUFFIX = os.environ.get("SUFFIX", "")
STARTED = time.time()
LINE = re.compile(r"^(?P<host>[\d.]+) \S+ (?P<user>\S+) \[(?P<time>[^\]]+)\] \"(?P<request>.+?)\" (?P<status>\d{3})")

KNOWN = {
    "clock": lambda: {
        "now": round(time.time() * 1000),
        "started": round(STARTED * 1000),
        "iso": datetime.now(timezone.utc).isoformat(),
        "today": str(date.today()),
        "random": random.random(),
        "uuid": str(uuid.uuid4()),
        "region": os.environ["AWS_REGION"],
    },
    "hash": lambda: hashlib.sha256("héllo".encode()).hexdigest(),
    "date": lambda: [str(datetime(2024, 2, 28) + timedelta(days=1)), isinstance(datetime.now() - timedelta(1), datetime)],
}


def one(record):
    text = base64.b64decode(record["data"]).decode("utf-8", "replace")
    answer = {"recordId": record["recordId"], "result": "Ok"}
    if text == "throw!":
        raise KeyError("no such thing")
    if text == "network!":
        import urllib.request

        urllib.request.urlopen("http://127.0.0.1:9/")
    if text == "drop!":
        return {**answer, "result": "Dropped", "data": record["data"]}
    if text == "odd!":
        return {**answer, "result": "Fine", "data": record["data"]}
    if text == "null!":
        return answer
    if text == "plain!":
        return {**answer, "data": "not base64!"}
    match = LINE.match(text)
    if match:
        when = datetime.strptime(match["time"], "%d/%b/%Y:%H:%M:%S %z")
        value = {**match.groupdict(), "time": when.astimezone(timezone.utc).isoformat()}
    else:
        value = KNOWN[text]() if text in KNOWN else {"text": text, "area": area(2, 3), "suffix": SUFFIX}
    data = base64.b64encode((json.dumps(value) + "\n").encode()).decode()
    return {**answer, "data": data, "metadata": {"partitionKeys": {"length": str(len(text))}}}


def lambda_handler(event, context):
    print(context.aws_request_id, len(event["records"]))
    logger.info("for %s", event["deliveryStreamArn"])
    return {"records": [one(record) for record in event["records"]]}

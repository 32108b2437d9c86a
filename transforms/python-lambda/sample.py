"""A sample handler, as it would run on Lambda: parses JSON, drops debug events, tells a partition key."""

import base64
import json
from datetime import datetime, timezone


def lambda_handler(event, context):
    return {"records": [transform(record) for record in event["records"]]}


def transform(record):
    answer = {"recordId": record["recordId"], "data": record["data"]}
    try:
        payload = json.loads(base64.b64decode(record["data"]))
    except ValueError as error:
        print(f"{record['recordId']}: {error}")
        return {**answer, "result": "ProcessingFailed"}
    level = payload.get("level", "none")
    if level == "debug":
        return {**answer, "result": "Dropped"}
    payload["handled_at"] = datetime.now(timezone.utc).isoformat()
    data = base64.b64encode((json.dumps(payload) + "\n").encode()).decode()
    return {**answer, "result": "Ok", "data": data, "metadata": {"partitionKeys": {"level": level}}}

"""What the guest `enrich` in Rust does with its settings as they are: drops debug events, redacts, adds the arrival time."""

import base64
import json
from datetime import datetime, timezone

REDACTED = ("password", "secret", "token")


def enriched(record):
    answer = {"recordId": record["recordId"], "data": record["data"]}
    try:
        event = json.loads(base64.b64decode(record["data"]))
    except ValueError:
        return {**answer, "result": "ProcessingFailed"}
    if event.get("level") == "debug":
        return {**answer, "result": "Dropped"}
    for name in REDACTED:
        if name in event:
            event[name] = "***"
    arrived = datetime.fromtimestamp(record["approximateArrivalTimestamp"] / 1000, timezone.utc)
    event["ingested_at"] = arrived.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data = json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"
    return {**answer, "result": "Ok", "data": base64.b64encode(data.encode()).decode()}


def lambda_handler(event, context):
    return {"records": [enriched(record) for record in event["records"]]}

"""A Lambda handler for Firehose, as it runs on AWS: each record is a JSON object. Debug events are dropped, others gain
their arrival time and a partition key.

Variables of the stream stand in os.environ: DROP, a level whose events are dropped (default: debug).
"""

import base64
import json
import os


def lambda_handler(event, context):
    drop = os.environ.get("DROP", "debug")
    return {"records": [judged(record, drop) for record in event["records"]]}


def judged(record, drop):
    try:
        data = json.loads(base64.b64decode(record["data"]))
        if not isinstance(data, dict):
            raise ValueError("not a JSON object")
    except ValueError as error:
        print(f"{record['recordId']}: {error}")
        return {"recordId": record["recordId"], "result": "ProcessingFailed", "data": record["data"]}
    if data.get("level") == drop:
        return {"recordId": record["recordId"], "result": "Dropped"}
    data["arrived_at_ms"] = record["approximateArrivalTimestamp"]
    # Records are joined as they are, so each ends its line.
    line = json.dumps(data, separators=(",", ":")) + "\n"
    answer = {"recordId": record["recordId"], "result": "Ok", "data": base64.b64encode(line.encode()).decode()}
    if "customer" in data:
        answer["metadata"] = {"partitionKeys": {"customer": data["customer"]}}
    return answer

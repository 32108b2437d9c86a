"""The shape of handlers of CloudWatch Logs in Python: gzip, a generator, base64 bytes in the answer, boto3 for overflow."""

import base64
import gzip
import json
from io import BytesIO

import boto3
from botocore.exceptions import ClientError

client = boto3.client("firehose")


def transform(event):
    return json.dumps(event, ensure_ascii=False) + "\n"


def process(records):
    for record in records:
        with gzip.GzipFile(fileobj=BytesIO(base64.b64decode(record["data"])), mode="r") as file:
            document = json.loads(file.read())
        if document["messageType"] == "CONTROL_MESSAGE":
            yield {"result": "Dropped", "recordId": record["recordId"]}
        elif document["messageType"] == "DATA_MESSAGE":
            lines = "".join(transform(event) for event in document["logEvents"])
            yield {"data": base64.b64encode(lines.encode()), "result": "Ok", "recordId": record["recordId"]}
        else:
            yield {"result": "ProcessingFailed", "recordId": record["recordId"]}


def lambda_handler(event, context):
    records = list(process(event["records"]))
    if len(json.dumps([record["recordId"] for record in records])) > 6000000:
        try:
            client.put_record_batch(Records=[])
        except ClientError as error:
            print(error)
    return {"records": records}

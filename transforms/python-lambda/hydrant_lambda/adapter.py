"""The component: a call of the world `transform` as an invocation of a Lambda function by Firehose, and back.

The handler is named by the module `target`, which whoever builds the component writes beside this one:
`HANDLER = "module.function"`. Everything it imports is read when the component is built; the handler's own modules are
run at each call, when clock, seed and variables are those of the call, as at the cold start of a Lambda.
"""

import binascii

from hydrant_lambda import sandbox  # before all that follows, which may keep functions of `time` and `os`
from hydrant_lambda import preload, target
from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.types import Failure, LogLevel, LogLine, Operation, OtfMetadata, Outcome, OutputRecord, Status

HANDLER_MODULE, _, HANDLER_FUNCTION = target.HANDLER.rpartition(".")
preload.read(HANDLER_MODULE)
sandbox.close()

STATUSES = {"Ok": Status.OK, "Dropped": Status.DROPPED, "ProcessingFailed": Status.PROCESSING_FAILED}
OPERATIONS = {operation.name.lower(): operation for operation in Operation}
LEVELS = {"debug": LogLevel.DEBUG, "info": LogLevel.INFO, "warn": LogLevel.WARN, "error": LogLevel.ERROR}


class Transformer(exports.Transformer):
    def transform(self, invocation, records):
        sandbox.begin(invocation)
        try:
            response = handler()(event(invocation, records), Context(invocation))
            given = response.get("records") if isinstance(response, dict) else None
            answers = [answer(record) for record in given or () if isinstance(record, dict) and "recordId" in record]
        except BaseException as error:
            sandbox.write_traceback(error)
            raise Err(Failure(f"{type(error).__name__}: {error}", logs())) from None
        return Outcome(answers, logs())


class NoHandler(Exception):
    pass


def handler():
    """The function, of a module that is run now."""
    module = preload.run(HANDLER_MODULE)
    function = getattr(module, HANDLER_FUNCTION, None)
    if not callable(function):
        found = [name for name, value in vars(module).items() if callable(value) and getattr(value, "__module__", "") == HANDLER_MODULE]
        raise NoHandler(f"there is no function '{HANDLER_FUNCTION}', but {', '.join(found) or 'none'}")
    return function


def logs():
    return [LogLine(LEVELS[level], message) for level, message in sandbox.lines()]


def event(invocation, records):
    kafka = any(record.kafka_metadata for record in records)
    members = {"invocationId": invocation.invocation_id}
    if invocation.source_arn is not None:
        members["sourceMSKArn" if kafka else "sourceKinesisStreamArn"] = invocation.source_arn
    members["deliveryStreamArn"] = invocation.delivery_stream_arn
    members["region"] = invocation.region
    members["records"] = [event_record(record) for record in records]
    return members


def event_record(record):
    data = binascii.b2a_base64(record.data, newline=False).decode("ascii")
    members = {"recordId": record.record_id, "approximateArrivalTimestamp": record.approximate_arrival_timestamp}
    if record.kafka_metadata:
        kafka = record.kafka_metadata
        members["kafkaRecordValue"] = data
        members["mskRecordMetadata"] = {
            "offset": kafka.offset,
            "partitionId": kafka.partition_id,
            "approximateArrivalTimestamp": kafka.approximate_arrival_timestamp,
        }
        return members
    members["data"] = data
    if record.kinesis_metadata:
        kinesis = record.kinesis_metadata
        members["kinesisRecordMetadata"] = {
            "sequenceNumber": kinesis.sequence_number,
            "subsequenceNumber": kinesis.subsequence_number,
            "partitionKey": kinesis.partition_key,
            "shardId": kinesis.shard_id,
            "approximateArrivalTimestamp": kinesis.approximate_arrival_timestamp,
        }
    return members


def answer(record):
    status = STATUSES.get(record.get("result"))
    value = record.get("data", record.get("kafkaRecordValue"))
    data = message = None
    if status is None:
        # Ok without data is what the host refuses as an answer without meaning.
        status = Status.OK
    elif status is Status.OK and value is not None:
        try:
            # Text, or the bytes that b64encode gives: Lambda takes both.
            data = binascii.a2b_base64(value, strict_mode=True)
        except (binascii.Error, TypeError, ValueError):
            status, message = Status.PROCESSING_FAILED, "The data that the handler returned is not base64."
    metadata = record.get("metadata") or {}
    keys = [(str(name), str(key)) for name, key in (metadata.get("partitionKeys") or {}).items()]
    return OutputRecord(str(record["recordId"]), status, data, keys, table(metadata.get("otfMetadata")), message)


def table(metadata):
    if not metadata:
        return None
    operation = OPERATIONS.get(str(metadata.get("operation", "")).lower())
    return OtfMetadata(metadata.get("destinationDatabaseName"), metadata.get("destinationTableName"), operation)


class Context:
    """The handler's second argument."""

    identity = None
    client_context = None

    def __init__(self, invocation):
        self.function_name, _, version = ":".join(invocation.function_arn.split(":")[6:]).partition(":")
        self.function_version = version or "$LATEST"
        self.invoked_function_arn = invocation.function_arn
        self.memory_limit_in_mb = str(invocation.memory_limit_bytes >> 20)
        self.aws_request_id = invocation.invocation_id
        self.log_group_name = f"/aws/lambda/{self.function_name}"
        self.log_stream_name = invocation.invocation_id
        self._time_limit_ms = invocation.time_limit_ms

    def get_remaining_time_in_millis(self):
        """The whole limit: the clock does not move during a call."""
        return self._time_limit_ms

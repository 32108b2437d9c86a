"""The transforms of `transforms/`: the committed ones over boto3, and (in the long form) Lambda handlers of ours, built by
`hydrant transform wrap`, against the same handlers called by node and python3.
"""

import base64
import datetime
import gzip
import json
import os
import shutil
import subprocess
import sys
import time

import oracle
from harness import FULL, ROOT, Skip, Suite, binary, clean_environment

suite = Suite("guests")
HANDLERS = ROOT / "tests" / "guests" / "lambda"
FAILED = "Lambda.ProcessingFailedStatus"


def start(folder, *components):
    """A service over copies of components."""
    transforms = folder / "transforms"
    transforms.mkdir()
    for component in components:
        shutil.copy(component, transforms)
    return folder.hydrant(arguments=["--transforms-dir", str(transforms)]).start()


def outcome(service, stream, function, records, **variables):
    """What one batch becomes: (delivered bytes, {refused record: (code, message)}, ledger)."""
    parameters = {
        "LambdaArn": f"arn:aws:lambda:us-east-1:000000000000:function:{function}",
        "NumberOfRetries": "0",
        **{f"Variable.{name}": value for name, value in variables.items()},
    }
    named = [{"ParameterName": name, "ParameterValue": value} for name, value in parameters.items()]
    processing = {"Enabled": True, "Processors": [{"Type": "Lambda", "Parameters": named}]}
    service.create(stream, interval_s=900, size_mb=16, ProcessingConfiguration=processing)
    answer = service.firehose().put_record_batch(DeliveryStreamName=stream, Records=[{"Data": each} for each in records])
    assert answer["FailedPutCount"] == 0
    service.flush(stream)
    ledger = service.drained(stream)[stream]
    refused = {}
    for each in oracle.objects(service.s3_client(), service.bucket, f"{stream}/error/"):
        for record in oracle.error_records(each.content(), "processing-failed"):
            refused[record["raw"]] = (record["errorCode"], record["errorMessage"])
    delivered = b"".join(each.content() for each in oracle.objects(service.s3_client(), service.bucket, f"{stream}/data/"))
    assert ledger["received"] == len(records) and ledger["refused"] == len(refused), (ledger, refused)
    return delivered, refused, ledger


def expect(service, function, cases, dropped=0, **variables):
    """`cases` are pairs of a record and what becomes of it: bytes, or (text in the message,) where it is refused."""
    stream = f"{function}-{len(variables)}"
    delivered, refused, ledger = outcome(service, stream, function, [record for record, _ in cases], **variables)
    assert delivered == b"".join(what for _, what in cases if isinstance(what, bytes)), delivered
    wanted = {record: what[0] for record, what in cases if isinstance(what, tuple)}
    assert refused.keys() == wanted.keys(), refused
    for record, (code, message) in refused.items():
        assert code == FAILED and wanted[record] in message, (record, message)
    assert ledger["dropped"] == dropped, ledger


def document(messages, kind="DATA_MESSAGE"):
    """As CloudWatch Logs sends it."""
    events = [{"id": f"{n:056}", "timestamp": 1510109208016 + n, "message": message} for n, message in enumerate(messages)]
    names = {"owner": "123456789012", "logGroup": "g", "logStream": "s", "subscriptionFilters": ["f"]}
    return gzip.compress(json.dumps({"messageType": kind, **names, "logEvents": events}, ensure_ascii=False).encode())


@suite.test("blueprint cloudwatch-logs")
def _(folder):
    service = start(folder, ROOT / "transforms" / "cloudwatch-logs.wasm")
    expect(
        service,
        "cloudwatch-logs",
        [
            (document(["one", "zwei ü \"q\"", "line\nbreak"]), "one\nzwei ü \"q\"\nline\nbreak\n".encode()),
            (document(["x"], "CONTROL_MESSAGE"), None),
            (document([]), b""),
            (document(["a"])[:-9] + b"\0" * 9, ("cannot be decompressed",)),
            (document(["x"], "OTHER"), ("messageType is 'OTHER'",)),
            (gzip.compress(b"[1]"), ("no document of CloudWatch Logs",)),
            (b"plain", ("cannot be decompressed",)),
            # Two members are one document.
            (gzip.compress(gzip.decompress(document(["m"]))[:50]) + gzip.compress(gzip.decompress(document(["m"]))[50:]), b"m\n"),
        ],
        dropped=1,
    )


@suite.test("blueprint apache-log-to-json")
def _(folder):
    service = start(folder, ROOT / "transforms" / "apache-log-to-json.wasm")
    line = b'64.242.68.10 - bob [07/Mar/2004:16:05:49 -0800] "GET /a?x=\\"1\\" HTTP/1.1" 200 6291 "-" "Mozilla/4.0"'
    object_ = (
        b'{"host":"64.242.68.10","ident":"-","authuser":"bob","request":"GET /a?x=\\\\\\"1\\\\\\" HTTP/1.1","response":200,"bytes":6291,'
        b'"verb":"GET","@timestamp":"2004-03-07T16:05:49.000Z","timezone":"-0800","@timestamp_utc":"2004-03-08T00:05:49.000Z"}\n'
    )
    short = b'::1 - - [29/Feb/2024:23:59:59] "GET" 304 -'
    short_object = (
        b'{"host":"::1","ident":"-","authuser":"-","request":"GET","response":304,"bytes":0,"@timestamp":"2024-02-29T23:59:59.000Z"}\n'
    )
    expect(
        service,
        "apache-log-to-json",
        [
            (line, object_),
            (short + b"\r\n\n" + line + b"\n", short_object + object_),
            (b'h - - [yesterday +05] "G" 200 1', b'{"host":"h","ident":"-","authuser":"-","request":"G","response":200,"bytes":1,"@timestamp":"yesterday","timezone":"+05"}\n'),
            (line + b"\nnothing", ("line 2 of the record is no line of an access log",)),
            (b'1.2.3.4 - - [07/Mar/2004:16:05:49 -0800] "GET / HTTP/1.1" 2x0 1', ("line 1",)),
            (b" \n", ("holds no line",)),
            (b"\xff", ("not UTF-8",)),
        ],
    )


@suite.test("blueprint syslog-to-json")
def _(folder):
    service = start(folder, ROOT / "transforms" / "syslog-to-json.wasm")
    expect(
        service,
        "syslog-to-json",
        [
            (
                b"Oct 11 22:14:15 mymachine su[123]: 'su root' failed: \\x\t",
                b'{"timestamp":"Oct 11 22:14:15","hostname":"mymachine","program":"su","processid":"123","message":"\'su root\' failed: \\\\x\\t"}\n',
            ),
            (
                b"Feb  5 17:32:18.123 <4.6> 10.0.0.99 a/b%c: Use the BFG!\n\nJanuary 1 0:00:60 h p: \n",
                b'{"timestamp":"Feb  5 17:32:18.123","hostname":"10.0.0.99","program":"a/b%c","message":"Use the BFG!"}\n'
                b'{"timestamp":"January 1 0:00:60","hostname":"h","program":"p","message":""}\n',
            ),
            (b"Oct 32 22:14:15 h p: m", ("line 1 of the record is no line of syslog",)),
            (b"Oct 11 24:14:15 h p: m", ("line 1",)),
            (b"Oct 11 22:14:15 h p[x]: m", ("line 1",)),
            (b"Oct 11 22:14:15 h no colon", ("line 1",)),
            (b"", ("holds no line",)),
        ],
    )


@suite.test("blueprint csv-to-json")
def _(folder):
    service = start(folder, ROOT / "transforms" / "csv-to-json.wasm")
    expect(service, "csv-to-json", [(b"a,,\"b\"\"c\"\r\n1\n", b'{"column1":"a","column2":"","column3":"b\\"c"}\n{"column1":"1"}\n')])
    expect(
        service,
        "csv-to-json",
        [
            (b"x;1.50\n", b'{"name":"x","n":1.50}\n'),
            (b'"a;\nb"; \n', b'{"name":"a;\\nb","n":null}\n'),
            (b"x;-0.5e+3\r\n\r\ny;0", b'{"name":"x","n":-0.5e+3}\n{"name":"y","n":0}\n'),
            (b"x;01", ("row 1 of the record: 'n' is no number: '01'",)),
            (b"x;1\nx", ("row 2 of the record: 1 fields, not 2",)),
            (b"x;1;2", ("row 1 of the record: more than 2 fields",)),
            (b'"x', ("a quote is not closed",)),
            (b'"x"y;1', ("text after a closing quote",)),
            (b"\n", ("holds no row",)),
        ],
        columns="name, n",
        numbers="n",
        delimiter=";",
    )
    _, refused, _ = outcome(service, "typo", "csv-to-json", [b"a,b"], column="x")
    assert refused[b"a,b"][0] == "Lambda.FunctionError" and "unknown variable 'column'" in refused[b"a,b"][1], refused


@suite.test("logfmt in C")
def _(folder):
    service = start(folder, ROOT / "transforms" / "logfmt.wasm")
    expect(
        service,
        "logfmt",
        [
            (b'level=warn msg="disk \\"a\\" full\\n" free=0.5 dry', b'{"level":"warn","msg":"disk \\"a\\" full\\n","free":0.5,"dry":true}\n'),
            (b"a=1\r\n\nb=null c=01 d=- e=-1e5 f=\n", b'{"a":1}\n{"b":null,"c":"01","d":"-","e":-1e5,"f":""}\n'),
            ("ä=ö t=\"\t\x01\"".encode(), '{"ä":"ö","t":"\\t\\u0001"}\n'.encode()),
            (b"x" * 70000 + b"=1", b'{"' + b"x" * 70000 + b'":1}\n'),
            (b"a=1 =x", ("a value without a name",)),
            (b'a="x', ("a quote is not closed",)),
            (b" \n", ("holds no line",)),
            (b"a=\xed\xa0\x80", ("not UTF-8",)),
        ],
    )


def built(handler):
    """The component of a handler of ours."""
    if not FULL:
        raise Skip("builds with npm and pip, in the long form only")
    name = handler.replace(".", "-")
    component = ROOT / "target" / "transforms" / "lambda" / f"{name}.wasm"
    component.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [binary(), "transform", "wrap", HANDLERS / handler, "-o", component], capture_output=True, text=True,
        env={**clean_environment(), "XDG_CACHE_HOME": str(ROOT / "target" / "wrap-cache")},
    )  # fmt: skip
    if "this needs " in done.stderr:
        raise Skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    return component


def native(handler, records, **variables):
    """The handler's answer where it is at home: its records."""
    event = {
        "invocationId": "native",
        "deliveryStreamArn": "arn:aws:firehose:us-east-1:000000000000:deliverystream/native",
        "region": "us-east-1",
        "records": [
            {"recordId": str(n), "approximateArrivalTimestamp": 1495072949453, "data": base64.b64encode(record).decode()}
            for n, record in enumerate(records)
        ],
    }
    path = HANDLERS / handler
    command = [sys.executable, HANDLERS / "native.py", path] if handler.endswith(".py") else ["node", HANDLERS / "native.mjs", path]
    environment = {**os.environ, "TZ": "UTC", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", **variables}
    done = subprocess.run(command, input=json.dumps(event), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["records"]


def same_as_native(folder, handler, records, faults=(), **variables):
    """Runs the handler here and at home; `faults` are records that are refused here, each with the code and a part of the message."""
    component = built(handler)
    answers = native(handler, records, **variables)
    service = start(folder, component)
    delivered, refused, ledger = outcome(
        service, "here", component.stem, [*records, *(record for record, _, _ in faults)], **variables
    )
    wanted = {"Ok": [], "Dropped": [], "ProcessingFailed": []}
    for answer in answers:
        wanted[answer["result"]].append(answer)
    assert delivered == b"".join(base64.b64decode(answer["data"]) for answer in wanted["Ok"]), delivered
    assert ledger["dropped"] == len(wanted["Dropped"]), ledger
    failed = {records[int(answer["recordId"])] for answer in wanted["ProcessingFailed"]}
    assert refused.keys() == failed | {record for record, _, _ in faults}, refused
    assert all(refused[record][0] == FAILED for record in failed), refused
    for record, code, text in faults:
        assert refused[record][0] == code and text in refused[record][1], (record, refused[record])
    return service, component.stem


FAULTS = [
    (b"odd!", "Lambda.InvalidReturnFormat", ""),
    (b"null!", "Lambda.InvalidReturnFormat", "data field cannot be null"),
    (b"plain!", FAILED, "not base64"),
]
DOCUMENTS = [
    document(["one", "zwei ü", "three \"3\""]),
    document(["health"], "CONTROL_MESSAGE"),
    document([]),
    document(["x"], "OTHER"),
    document([f"line {n}" for n in range(900)]),
]


@suite.test("a handler in CommonJS with a callback")
def _(folder):
    records = [b"Oct 11 22:14:15 host su[123]: failed", b"Feb  5 17:32:18 h p: caf\xc3\xa9 \x01", b"nothing", b""]
    same_as_native(folder, "callback.js", records)


@suite.test("a handler with zlib and the SDK")
def _(folder):
    broken = document(["a"])[:-4] + b"\0\0\0\1"
    faults = [
        (broken, "Lambda.FunctionError", "incorrect length check"),
        (document([str(n) for n in range(1001)]), "Lambda.FunctionError", "FirehoseClient.send of @aws-sdk/client-firehose is not available"),
    ]
    same_as_native(folder, "subscription.js", DOCUMENTS, faults)


def clock(service, function, before_ms):
    """Clock, chance and environment are those of the call, and differ from call to call."""
    seen = []
    for stream in ("clock-1", "clock-2"):
        delivered, _, _ = outcome(service, stream, function, [b"clock"])
        seen.append(json.loads(delivered))
    after_ms = time.time() * 1000
    for each in seen:
        assert before_ms - 1 <= each["now"] <= after_ms, (before_ms, each)
        assert each["started"] == each["now"], "the head of the module runs within the call"
        shown = datetime.datetime.fromisoformat(each["iso"].replace("Z", "+00:00"))
        assert abs(shown.timestamp() * 1000 - each["now"]) < 1 and each["region"] == "us-east-1", each
    assert seen[0]["random"] != seen[1]["random"] and seen[0]["uuid"] != seen[1]["uuid"], seen


@suite.test("a handler as an ES module")
def _(folder):
    before_ms = int(time.time() * 1000)
    records = [b"hello", "ünï".encode(), b"\xff", b"bytes", b"zip", b"hash", b"date", b"drop!"]
    faults = [
        (b"throw!", "Lambda.FunctionError", "TypeError: no such thing"),
        (b"network!", "Lambda.FunctionError", "fetch is not available in a transform: it has no network"),
        *FAULTS,
    ]
    service, function = same_as_native(folder, "module.mjs", records, faults, SUFFIX="!")
    clock(service, function, before_ms)


@suite.test("a handler in Python with gzip and boto3")
def _(folder):
    faults = [(b"plain", "Lambda.FunctionError", "BadGzipFile: Not a gzipped file")]
    same_as_native(folder, "subscription.py", DOCUMENTS, faults)


@suite.test("a handler in Python with the usual modules")
def _(folder):
    before_ms = int(time.time() * 1000)
    line = b'64.242.68.10 - bob [07/Mar/2004:16:05:49 -0800] "GET /a HTTP/1.1" 200 6291'
    records = [b"hello", "ünï".encode(), b"\xff", line, b"hash", b"date", b"drop!"]
    faults = [
        (b"throw!", "Lambda.FunctionError", "KeyError: 'no such thing'"),
        (b"network!", "Lambda.FunctionError", "it has no network"),
        *FAULTS,
    ]
    service, function = same_as_native(folder, "parse.py", records, faults, SUFFIX="!")
    clock(service, function, before_ms)


if __name__ == "__main__":
    suite.main()

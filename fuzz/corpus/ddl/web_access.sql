/* Requests to a web site. `time` is not in a form that a timestamp column takes, so it is text. */
CREATE EXTERNAL TABLE web_access (
  `time`       string,
  remote_ip    string,
  remote_user  string,
  request      string,
  response     int,
  bytes        bigint,
  referrer     string,
  agent        string
)
STORED AS PARQUET
LOCATION 's3://bucket/web_access/';

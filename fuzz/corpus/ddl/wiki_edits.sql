-- Wikipedia edits: typed where the data is.
CREATE EXTERNAL TABLE IF NOT EXISTS `tests`.`wiki_edits` (
  `time`          timestamp COMMENT 'ISO 8601 with milliseconds',
  channel         string,
  cityName        string,
  `comment`       string COMMENT 'the editor''s summary',
  countryIsoCode  varchar(2),
  countryName     string,
  isAnonymous     boolean,
  isMinor         boolean,
  isNew           boolean,
  isRobot         boolean,
  isUnpatrolled   boolean,
  metroCode       int,
  namespace       string,
  page            string,
  regionIsoCode   string,
  regionName      string,
  `user`          string,
  delta           bigint,
  added           bigint,
  deleted         double
)
PARTITIONED BY (day string)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
STORED AS PARQUET
LOCATION 's3://bucket/wiki_edits/'
TBLPROPERTIES ('parquet.compression' = 'SNAPPY');

-- API calls of an account: what has one shape is typed, what depends on the call is its JSON text.
CREATE EXTERNAL TABLE tests.cloudtrail (
  eventVersion string,
  userIdentity struct<
    type:string,
    principalId:string,
    arn:string,
    accountId:string,
    accessKeyId:string,
    userName:string,
    invokedBy:string,
    sessionContext:struct<
      sessionIssuer:struct<type:string,principalId:string,arn:string,accountId:string,userName:string>,
      webIdFederationData:map<string,string>,
      attributes:map<string,string>
    >
  >,
  eventTime timestamp,
  eventSource string,
  eventName varchar(64),
  awsRegion char(14),
  sourceIPAddress string,
  userAgent string,
  errorCode string,
  errorMessage string,
  requestParameters string COMMENT 'an object, of another shape for each call',
  responseElements string,
  additionalEventData struct<
    AuthenticationMethod:string,
    CipherSuite:string,
    SignatureVersion:string,
    bytesTransferredIn:bigint,
    bytesTransferredOut:decimal(12,0),
    `x-amz-id-2`:string
  >,
  requestID string,
  eventID string,
  readOnly boolean,
  resources array<struct<ARN:string,accountId:string,type:string>>,
  eventType string,
  managementEvent boolean,
  recipientAccountId bigint COMMENT 'digits in a string',
  sharedEventID string,
  vpcEndpointId string,
  eventCategory string,
  sessionCredentialFromConsole boolean COMMENT 'true in a string',
  tlsDetails map<string,string>
)
STORED AS PARQUET;

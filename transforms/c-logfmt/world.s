# The world `transform-packed` of ../wit/transform.wit in its binary form, as the custom section from which
# `jco new` and `wasm-tools component new` learn the types of a core module. Made by `wasm-tools component embed`.

	.section ".custom_section.component-type","",@
	.ascii "\000asm\015\000\001\000\000\031\026wit-component-encoding\004\000\007\332\010\001A\002\001A\006\001B#\001r\005\017sequence-numb"
	.ascii "ers\022subsequence-numberw\015partition-keys\010shard-ids\035approximate-arr"
	.ascii "ival-timestampw\004\000\020kinesis-metadata\003\000\000\001r\004\005topics\006offsets\014partitio"
	.ascii "n-ids\035approximate-arrival-timestampw\004\000\016kafka-metadata\003\000\002\001p}\001k\001\001k"
	.ascii "\003\001r\005\011record-ids\035approximate-arrival-timestampw\004data\004\020kinesis-met"
	.ascii "adata\005\016kafka-metadata\006\004\000\014input-record\003\000\007\001m\003\002ok\007dropped\021processin"
	.ascii "g-failed\004\000\006status\003\000\011\001m\003\006insert\006update\006delete\004\000\011operation\003\000\013\001ks\001k"
	.ascii "\014\001r\003\031destination-database-name\015\026destination-table-name\015\011operatio"
	.ascii "n\016\004\000\014otf-metadata\003\000\017\001k\004\001o\002ss\001p\022\001k\020\001r\006\011record-ids\006status\012\004data\021\016p"
	.ascii "artition-keys\023\014otf-metadata\024\007message\015\004\000\015output-record\003\000\025\001r\012\015invo"
	.ascii "cation-ids\023delivery-stream-arns\012source-arn\015\006regions\014function-arn"
	.ascii "s\006now-msw\004seedw\015time-limit-msw\022memory-limit-bytesw\011variables\023\004\000\012"
	.ascii "invocation\003\000\027\001m\004\005debug\004info\004warn\005error\004\000\011log-level\003\000\031\001r\002\005level\032\007"
	.ascii "messages\004\000\010log-line\003\000\033\001p\026\001p\034\001r\002\007records\035\004logs\036\004\000\007outcome\003\000\037\001r\002\007m"
	.ascii "essages\004logs\036\004\000\007failure\003\000!\003\000\035hydrant:transform/types@1.0.0\005\000\002\003\000\000"
	.ascii "\007failure\002\003\000\000\012invocation\001B\010\002\003\002\001\001\004\000\007failure\003\000\000\002\003\002\001\002\004\000\012invocation\003\000"
	.ascii "\002\001p}\001j\001\004\001\001\001@\002\012invocation\003\005batch\004\000\005\004\000\011transform\001\006\004\000\036hydrant:trans"
	.ascii "form/packed@1.0.0\005\003\004\000(hydrant:transform/transform-packed@1.0.0\004\000"
	.ascii "\013\026\001\000\020transform-packed\003\000\000\000/\011producers\001\014processed-by\001\015wit-componen"
	.ascii "t\0070.259.0"

//! Tables of the fuzz target of the JSON decoder. Shared with it.

/// Tables of the decoder's target; the first byte of an input chooses one, the rest is the record.
pub const TABLES: [&str; 2] = [
    "create table t (a tinyint, b smallint, c int, d bigint, e float, f double, g boolean, h string, i varchar(3), j timestamp, \
     k date, l decimal(9,3), m binary)",
    "create table t (a array<int>, b map<string,array<bigint>>, c struct<x:int,Y:struct<z:string>>, d map<int,double>, \
     e array<struct<p:boolean,q:array<string>,r:timestamp>>, f string, g map<timestamp,char(2)>)",
];

/// The column for unknown fields, where there is one: with OpenX.
pub const REST: &str = "rest";

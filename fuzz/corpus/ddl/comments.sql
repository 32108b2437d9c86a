-- one
create /* two */ table t ( -- three
 a int, /**/ b string)
;
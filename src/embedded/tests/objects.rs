//! Single objects: headers, conditions, checksums, ranges, odd keys, listings.

use super::*;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, Delete, ObjectCannedAcl, ObjectIdentifier, ServerSideEncryption,
};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn an_object_comes_back_as_it_was_put_and_lies_as_a_plain_file() {
    let server = Server::start().await;
    let client = server.client();
    let put = client
        .put_object()
        .bucket(BUCKET)
        .key("a/b.txt")
        .body(ByteStream::from_static(b"hello"))
        .content_type("text/plain")
        .content_encoding("gzip")
        .cache_control("no-cache")
        .metadata("parcel", "7-1")
        .send()
        .await
        .unwrap();
    assert_eq!(std::fs::read(server.file("a/b.txt")).unwrap(), b"hello");

    let server = server.restart().await;
    let client = server.client();
    let got = client.get_object().bucket(BUCKET).key("a/b.txt").send().await.unwrap();
    assert_eq!(got.content_type(), Some("text/plain"));
    assert_eq!(got.content_encoding(), Some("gzip"));
    assert_eq!(got.cache_control(), Some("no-cache"));
    assert_eq!(got.metadata().unwrap()["parcel"], "7-1");
    assert_eq!(got.e_tag(), put.e_tag());
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"hello");
    let head = client.head_object().bucket(BUCKET).key("a/b.txt").send().await.unwrap();
    assert_eq!((head.content_length(), head.e_tag()), (Some(5), put.e_tag()));

    client.delete_object().bucket(BUCKET).key("a/b.txt").send().await.unwrap();
    assert_eq!(code(client.get_object().bucket(BUCKET).key("a/b.txt").send().await), "NoSuchKey");
    assert_eq!(status(client.head_object().bucket(BUCKET).key("a/b.txt").send().await), 404);
    assert!(!server.file("a").exists(), "the folder it left empty is gone");
    assert_eq!(files_below(&server.dir.path().join(".hydrant/meta")), Vec::<PathBuf>::new());
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_of_writes_and_reads() {
    let server = Server::start().await;
    let client = server.client();
    let put = |body: &'static [u8]| client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(body));
    assert_eq!(code(put(b"0").if_match("\"x\"").send().await), "NoSuchKey");
    let first = put(b"1").if_none_match("*").send().await.unwrap().e_tag.unwrap();
    assert_eq!(status(put(b"2").if_none_match("*").send().await), 412);
    assert_eq!(code(put(b"2").if_none_match("\"x\"").send().await), "NotImplemented");
    let second = put(b"2").if_match(&first).send().await.unwrap().e_tag.unwrap();
    assert_ne!(first, second);
    assert_eq!(code(put(b"3").if_match(&first).send().await), "PreconditionFailed");

    let get = || client.get_object().bucket(BUCKET).key("k");
    assert_eq!(get().if_match(&second).send().await.unwrap().body.collect().await.unwrap().to_vec(), b"2");
    assert_eq!(status(get().if_match(&first).send().await), 412);
    assert_eq!(status(get().if_none_match(&second).send().await), 304);
    let written = get().send().await.unwrap().last_modified.unwrap();
    assert_eq!(status(get().if_modified_since(written).send().await), 304);
    get().if_unmodified_since(written).send().await.unwrap();

    assert_eq!(
        code(client.delete_object().bucket(BUCKET).key("k").if_match(&first).send().await),
        "PreconditionFailed"
    );
    client.delete_object().bucket(BUCKET).key("k").if_match(&second).send().await.unwrap();
    assert_eq!(files_below(&server.dir.path().join(".hydrant/tmp")), Vec::<PathBuf>::new());
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges() {
    let server = Server::start().await;
    let client = server.client();
    let body: Vec<u8> = (0..700_000u32).map(|at| (at % 251) as u8).collect();
    client.put_object().bucket(BUCKET).key("k").body(body.clone().into()).send().await.unwrap();
    let get = |range: &str| client.get_object().bucket(BUCKET).key("k").range(range);
    let whole = body.len();
    for (range, expected, header) in [
        ("bytes=0-0", &body[..1], format!("bytes 0-0/{whole}")),
        ("bytes=300000-650000", &body[300_000..=650_000], format!("bytes 300000-650000/{whole}")),
        ("bytes=699990-", &body[699_990..], format!("bytes 699990-699999/{whole}")),
        ("bytes=-10", &body[whole - 10..], format!("bytes 699990-699999/{whole}")),
        ("bytes=5-9999999", &body[5..], format!("bytes 5-699999/{whole}")),
    ] {
        let got = get(range).send().await.unwrap();
        assert_eq!(got.content_range(), Some(header.as_str()));
        assert_eq!(got.body.collect().await.unwrap().to_vec(), expected, "{range}");
    }
    assert_eq!(status(get("bytes=700000-").send().await), 416);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_keys_live_side_by_side() {
    let server = Server::start().await;
    let client = server.client();
    let long = format!("{}/{}.parquet", "é".repeat(200), "x".repeat(500));
    let keys = [
        "a",
        "a/",
        "a/b",
        "a/b/c",
        "a//b",
        "/a",
        "../../escape",
        "./a",
        "..",
        "~e",
        "~oa",
        "year=2025/month=01/x.gz",
        "a b+c:d&e=f%2Fg?h#i",
        "日本/😀",
        "Case",
        "case",
        "a\u{1}b",
        "'\"<>&",
        "trailing ",
        " leading",
        long.as_str(),
    ];
    for key in keys {
        let put = client.put_object().bucket(BUCKET).key(key).body(key.as_bytes().to_vec().into()).if_none_match("*");
        put.metadata("length", key.len().to_string()).send().await.unwrap_or_else(|e| panic!("{key:?}: {e:?}"));
    }
    let server = server.restart().await;
    let client = server.client();
    for key in keys {
        let got = client.get_object().bucket(BUCKET).key(key).send().await.unwrap_or_else(|e| panic!("{key:?}: {e:?}"));
        assert_eq!(got.metadata().unwrap()["length"], key.len().to_string());
        assert_eq!(got.body.collect().await.unwrap().to_vec(), key.as_bytes(), "{key:?}");
    }
    let outside: Vec<_> = files_below(server.dir.path())
        .into_iter()
        .filter(|path| !path.starts_with(server.file("")) && !path.starts_with(server.dir.path().join(".hydrant")))
        .collect();
    assert_eq!(outside, Vec::<PathBuf>::new());

    let mut expected: Vec<&str> = keys.to_vec();
    expected.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    let encoded = client.list_objects_v2().bucket(BUCKET).encoding_type(aws_sdk_s3::types::EncodingType::Url);
    let page = encoded.send().await.unwrap();
    let listed: Vec<String> = page
        .contents()
        .iter()
        .map(|object| percent_encoding::percent_decode_str(object.key().unwrap()).decode_utf8().unwrap().into_owned())
        .collect();
    assert_eq!(listed, expected);

    for key in keys {
        client.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
    }
    assert_eq!(std::fs::read_dir(server.file("")).unwrap().count(), 0);
    assert_eq!(code(client.put_object().bucket(BUCKET).key("x".repeat(1025)).send().await), "KeyTooLongError");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_are_verified_and_given_back() {
    let server = Server::start().await;
    let (client, bare) = (server.client(), server.bare_client());
    let algorithms = [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha1,
        ChecksumAlgorithm::Sha256,
    ];
    for algorithm in algorithms {
        let put = client.put_object().bucket(BUCKET).key("k").body(ByteStream::from_static(b"123456789"));
        put.checksum_algorithm(algorithm.clone()).send().await.unwrap_or_else(|e| panic!("{algorithm}: {e:?}"));
        let head = client.head_object().bucket(BUCKET).key("k").checksum_mode(ChecksumMode::Enabled);
        let head = head.send().await.unwrap();
        let sums = [
            head.checksum_crc32(),
            head.checksum_crc32_c(),
            head.checksum_crc64_nvme(),
            head.checksum_sha1(),
            head.checksum_sha256(),
        ];
        assert_eq!(sums.iter().flatten().count(), 1, "{algorithm}");
        // Verified by the SDK.
        let got = client.get_object().bucket(BUCKET).key("k").send().await.unwrap();
        assert_eq!(got.body.collect().await.unwrap().to_vec(), b"123456789");
    }
    let put = || bare.put_object().bucket(BUCKET).key("wrong").body(ByteStream::from_static(b"123456789"));
    put().checksum_crc32_c("4waSgw==").send().await.unwrap();
    assert_eq!(code(put().checksum_crc32("AAAAAA==").send().await), "BadDigest");
    assert_eq!(code(put().checksum_crc32_c("AAAAAA==").send().await), "BadDigest");
    assert_eq!(code(put().checksum_crc64_nvme("AAAAAAAAAAA=").send().await), "BadDigest");
    assert_eq!(code(put().checksum_sha256("A".repeat(43) + "=").send().await), "BadDigest");
    assert_eq!(code(put().checksum_crc32("AAA=").send().await), "InvalidRequest");
    assert_eq!(code(put().checksum_crc32_c("4waSgw==").checksum_crc32("y/Q5Jg==").send().await), "InvalidRequest");
    put().content_md5("JfnnlDI7RTiF9RgfG2JNCw==").send().await.unwrap();
    assert_eq!(code(put().content_md5("AAAAAAAAAAAAAAAAAAAAAA==").send().await), "BadDigest");
    assert_eq!(code(put().content_md5("x").send().await), "InvalidDigest");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_up_in_chunks_with_a_trailer() {
    let server = Server::start().await;
    let client = server.client();
    let path = server.dir.path().join("input");
    let bytes: Vec<u8> = (0..3_000_000u32).flat_map(|at| at.to_le_bytes()).take(3_000_001).collect();
    std::fs::write(&path, &bytes).unwrap();
    let body = ByteStream::from_path(&path).await.unwrap();
    let put = client.put_object().bucket(BUCKET).key("k").body(body).content_encoding("gzip").send().await.unwrap();
    assert!(put.checksum_crc32().is_some(), "the SDK's default checksum came in the trailer");
    let got = client.get_object().bucket(BUCKET).key("k").send().await.unwrap();
    assert_eq!(got.content_encoding(), Some("gzip"));
    assert!(got.body.collect().await.unwrap().to_vec() == bytes);
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_page_roll_up_and_start_after() {
    let server = Server::start().await;
    let client = server.client();
    // Through the file system: such objects show like any other.
    for at in 0..2500 {
        let path = server.file(&format!("many/{}/{at:04}", at % 7));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"x").unwrap();
    }
    std::fs::write(server.file("many.txt"), b"x").unwrap();
    std::fs::create_dir_all(server.file("empty/folder")).unwrap();
    let mut expected: Vec<String> = (0..2500).map(|at| format!("many/{}/{at:04}", at % 7)).collect();
    expected.push("many.txt".to_owned());
    expected.sort();

    for page_size in [1000, 333] {
        let pages = client.list_objects_v2().bucket(BUCKET).max_keys(page_size).into_paginator().send();
        let pages = pages.try_collect().await.unwrap();
        assert_eq!(pages.len(), 2501usize.div_ceil(page_size as usize));
        let keys: Vec<String> =
            pages.iter().flat_map(|page| page.contents()).map(|object| object.key().unwrap().to_owned()).collect();
        assert_eq!(keys, expected);
    }
    let prefixes = |page: &aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output| {
        page.common_prefixes().iter().map(|prefix| prefix.prefix().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let root = client.list_objects_v2().bucket(BUCKET).delimiter("/").send().await.unwrap();
    assert_eq!((prefixes(&root), root.contents().len(), root.key_count()), (vec!["many/".to_owned()], 1, Some(2)));
    let below =
        client.list_objects_v2().bucket(BUCKET).delimiter("/").prefix("many/").max_keys(3).into_paginator().send();
    let below = below.try_collect().await.unwrap();
    assert_eq!(
        below.iter().flat_map(prefixes).collect::<Vec<_>>(),
        (0..7).map(|n| format!("many/{n}/")).collect::<Vec<_>>()
    );
    let odd = client.list_objects_v2().bucket(BUCKET).delimiter("y").send().await.unwrap();
    assert_eq!(prefixes(&odd), ["many"], "{odd:?}");
    let after = client.list_objects_v2().bucket(BUCKET).start_after("many/6/2491").send().await.unwrap();
    assert_eq!(after.contents().iter().map(|o| o.key().unwrap()).collect::<Vec<_>>(), ["many/6/2498"]);
    let prefixed = client.list_objects_v2().bucket(BUCKET).prefix("many/3/00").send().await.unwrap();
    assert_eq!(prefixed.contents().len(), 14);
    let v1 = client.list_objects().bucket(BUCKET).delimiter("/").max_keys(1).send().await.unwrap();
    assert_eq!((v1.next_marker(), v1.is_truncated()), (Some("many.txt"), Some(true)));
    let v1 = client.list_objects().bucket(BUCKET).delimiter("/").marker("many.txt").send().await.unwrap();
    assert_eq!((v1.common_prefixes().len(), v1.is_truncated()), (1, Some(false)));
    assert_eq!(code(client.list_objects_v2().bucket(BUCKET).continuation_token("?").send().await), "InvalidArgument");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buckets_are_made_and_removed_and_unknown_ones_refused() {
    let server = Server::start().await;
    let client = server.client();
    assert_eq!(code(client.put_object().bucket("other").key("k").send().await), "NoSuchBucket");
    assert_eq!(code(client.get_object().bucket("other").key("k").send().await), "NoSuchBucket");
    assert_eq!(code(client.list_objects_v2().bucket("other").send().await), "NoSuchBucket");
    assert_eq!(status(client.head_bucket().bucket("other").send().await), 404);
    assert!(!server.dir.path().join("other").exists());
    client.create_bucket().bucket("other").send().await.unwrap();
    assert_eq!(code(client.create_bucket().bucket("other").send().await), "BucketAlreadyOwnedByYou");
    client.head_bucket().bucket("other").send().await.unwrap();
    client.get_bucket_location().bucket("other").send().await.unwrap();
    client.put_object().bucket("other").key("a/b").send().await.unwrap();
    let names: Vec<_> =
        client.list_buckets().send().await.unwrap().buckets().iter().map(|b| b.name().unwrap().to_owned()).collect();
    assert_eq!(names, [BUCKET, "other"]);
    assert_eq!(code(client.delete_bucket().bucket("other").send().await), "BucketNotEmpty");
    let identifier = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
    let delete = Delete::builder().objects(identifier("a/b")).objects(identifier("absent")).build().unwrap();
    let deleted = client.delete_objects().bucket("other").delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (2, 0));
    client.delete_bucket().bucket("other").send().await.unwrap();
    assert_eq!(code(client.delete_bucket().bucket("other").send().await), "NoSuchBucket");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused() {
    let server = Server::start().await;
    let client = server.client();
    let put = || client.put_object().bucket(BUCKET).key("k").body(ByteStream::from(vec![0; 300_000]));
    assert_eq!(code(put().server_side_encryption(ServerSideEncryption::AwsKms).send().await), "NotImplemented");
    assert_eq!(code(put().acl(ObjectCannedAcl::PublicRead).send().await), "NotImplemented");
    assert_eq!(code(put().tagging("a=b").send().await), "NotImplemented");
    assert_eq!(code(put().expected_bucket_owner("111111111111").send().await), "AccessDenied");
    assert_eq!(code(client.get_bucket_versioning().bucket(BUCKET).send().await), "NotImplemented");
    assert_eq!(code(client.get_object().bucket(BUCKET).key("k").version_id("3").send().await), "NotImplemented");
    put().acl(ObjectCannedAcl::BucketOwnerFullControl).send().await.unwrap();

    let wrong = server.client_with(|c| c.credentials_provider(Credentials::new("test", "wrong", None, None, "test")));
    let refused = wrong.put_object().bucket(BUCKET).key("k").body(ByteStream::from(vec![0; 3_000_000])).send().await;
    assert_eq!(status(refused), 403);
    let unknown = server.client_with(|c| c.credentials_provider(Credentials::new("who", "test", None, None, "test")));
    assert_eq!(code(unknown.list_objects_v2().bucket(BUCKET).send().await), "InvalidAccessKeyId");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_presigned_urls() {
    let server = Server::start().await;
    let client = server.client();
    let put =
        client.put_object().bucket(BUCKET).key("from me").body(ByteStream::from_static(b"copied")).metadata("a", "1");
    put.content_type("text/x").send().await.unwrap();
    client.copy_object().bucket(BUCKET).key("to").copy_source("hydrant/from%20me").send().await.unwrap();
    let got = client.get_object().bucket(BUCKET).key("to").send().await.unwrap();
    assert_eq!((got.content_type(), got.metadata().unwrap()["a"].as_str()), (Some("text/x"), "1"));
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"copied");
    assert_eq!(
        code(client.copy_object().bucket(BUCKET).key("to").copy_source("hydrant/absent").send().await),
        "NoSuchKey"
    );

    let presigned = client.get_object().bucket(BUCKET).key("from me");
    let presigned = presigned.presigned(PresigningConfig::expires_in(Duration::from_secs(60)).unwrap()).await.unwrap();
    let (status, body) = plain_get(&server, presigned.uri()).await;
    assert_eq!((status, body.as_slice()), (200, &b"copied"[..]));
    let (status, _) = plain_get(&server, &presigned.uri().replace("from%20me", "to")).await;
    assert_eq!(status, 403);
    server.running.stop().await;
}

/// SDKs put the bucket into the host name where the endpoint is a name.
#[tokio::test(flavor = "multi_thread")]
async fn buckets_in_host_names_of_localhost() {
    let server = Server::start().await;
    let client = server.client();
    client.put_object().bucket(BUCKET).key("a/b").body(ByteStream::from_static(b"x")).send().await.unwrap();
    let endpoint = format!("http://localhost:{}", server.running.addr().port());
    for (by_path, host) in [(false, "hydrant.localhost"), (true, "localhost")] {
        let named = server.client_with(|c| c.endpoint_url(&endpoint).force_path_style(by_path));
        let expiry = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
        let presigned = named.get_object().bucket(BUCKET).key("a/b").presigned(expiry).await.unwrap();
        assert!(presigned.uri().starts_with(&format!("http://{host}:")), "{}", presigned.uri());
        assert_eq!(plain_get(&server, presigned.uri()).await, (200, b"x".to_vec()));
    }
    server.running.stop().await;
}

/// A GET without any SDK.
async fn plain_get(server: &Server, url: &str) -> (u16, Vec<u8>) {
    use http_body_util::{BodyExt, Empty};
    let uri: http::Uri = url.parse().unwrap();
    let socket = tokio::net::TcpStream::connect(server.running.addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(socket)).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::get(uri.path_and_query().unwrap().as_str())
        .header("host", uri.authority().unwrap().as_str())
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes().to_vec();
    drop(sender);
    driver.await.unwrap().unwrap();
    (status, body)
}

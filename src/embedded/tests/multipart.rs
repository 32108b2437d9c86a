//! Multipart uploads through the SDK.

use super::*;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart};
use futures::future::join_all;

const MIB: usize = 1 << 20;

async fn begin(client: &Client, key: &str) -> String {
    let begun =
        client.create_multipart_upload().bucket(BUCKET).key(key).metadata("parcel", "9-1").send().await.unwrap();
    begun.upload_id.unwrap()
}

async fn send_part(client: &Client, key: &str, id: &str, number: i32, body: Vec<u8>) -> CompletedPart {
    let part = client.upload_part().bucket(BUCKET).key(key).upload_id(id).part_number(number).body(body.into());
    let part = part.send().await.unwrap();
    CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build()
}

fn named(parts: impl IntoIterator<Item = CompletedPart>) -> CompletedMultipartUpload {
    CompletedMultipartUpload::builder().set_parts(Some(parts.into_iter().collect())).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_become_one_object() {
    let server = Server::start().await;
    let client = server.bare_client();
    let id = begin(&client, "big/a").await;
    assert_eq!(code(client.get_object().bucket(BUCKET).key("big/a").send().await), "NoSuchKey");
    let bodies = [vec![1; 5 * MIB], vec![2; 5 * MIB + 1], vec![3; 10]];
    // Out of order, and one of them twice.
    send_part(&client, "big/a", &id, 2, vec![9; 10]).await;
    let mut parts = Vec::new();
    for number in [3, 1, 2] {
        parts.push(send_part(&client, "big/a", &id, number, bodies[number as usize - 1].clone()).await);
    }
    parts.sort_by_key(|part| part.part_number());

    // What is durable survives a restart, uploads too.
    let server = server.restart().await;
    let client = server.bare_client();
    let listed = client.list_parts().bucket(BUCKET).key("big/a").upload_id(&id).max_parts(2).into_paginator().send();
    let listed = listed.try_collect().await.unwrap();
    let sizes: Vec<_> =
        listed.iter().flat_map(|page| page.parts()).map(|part| (part.part_number(), part.size())).collect();
    let expected: Vec<_> =
        bodies.iter().enumerate().map(|(at, body)| (Some(at as i32 + 1), Some(body.len() as i64))).collect();
    assert_eq!((listed.len(), sizes), (2, expected));
    let uploads = client.list_multipart_uploads().bucket(BUCKET).prefix("big/").send().await.unwrap();
    assert_eq!(uploads.uploads().iter().map(|u| u.upload_id().unwrap()).collect::<Vec<_>>(), [&id]);

    let complete = |parts: Vec<CompletedPart>| {
        client.complete_multipart_upload().bucket(BUCKET).key("big/a").upload_id(&id).multipart_upload(named(parts))
    };
    assert_eq!(code(complete(vec![parts[1].clone(), parts[0].clone()]).send().await), "InvalidPartOrder");
    assert_eq!(
        code(complete(vec![parts[0].clone(), CompletedPart::builder().part_number(7).build()]).send().await),
        "InvalidPart"
    );
    let other = CompletedPart::builder().part_number(2).e_tag("\"other\"").build();
    assert_eq!(code(complete(vec![parts[0].clone(), other]).send().await), "InvalidPart");
    assert_eq!(code(complete(parts.clone()).mpu_object_size(1).send().await), "InvalidRequest");
    complete(parts.clone()).mpu_object_size(bodies.concat().len() as i64).send().await.unwrap();
    assert_eq!(code(complete(parts).send().await), "NoSuchUpload");

    let got = client.get_object().bucket(BUCKET).key("big/a").send().await.unwrap();
    assert_eq!(got.metadata().unwrap()["parcel"], "9-1");
    assert!(got.body.collect().await.unwrap().to_vec() == bodies.concat());
    assert!(std::fs::read(server.file("big/a")).unwrap() == bodies.concat());
    assert_eq!(files_below(&server.dir.path().join(".hydrant/uploads")), Vec::<PathBuf>::new());
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_aborted_and_listed() {
    let server = Server::start().await;
    let client = server.client();
    let mut ids = Vec::new();
    for key in ["x/1", "x/1", "x/2", "y"] {
        ids.push((key.to_owned(), begin(&client, key).await));
    }
    let pages = client.list_multipart_uploads().bucket(BUCKET).max_uploads(1);
    let (mut found, mut key_marker, mut id_marker) = (Vec::new(), None, None);
    loop {
        let page = pages.clone().set_key_marker(key_marker).set_upload_id_marker(id_marker).send().await.unwrap();
        found.extend(page.uploads().iter().map(|u| (u.key().unwrap().to_owned(), u.upload_id().unwrap().to_owned())));
        if page.is_truncated() != Some(true) {
            break;
        }
        key_marker = page.next_key_marker;
        id_marker = page.next_upload_id_marker;
    }
    assert_eq!(found, ids);
    let rolled = client.list_multipart_uploads().bucket(BUCKET).delimiter("/").send().await.unwrap();
    assert_eq!((rolled.uploads().len(), rolled.common_prefixes()[0].prefix()), (1, Some("x/")));

    let (key, id) = &ids[0];
    let abort = |key: &str, id: &str| client.abort_multipart_upload().bucket(BUCKET).key(key).upload_id(id).send();
    assert_eq!(code(abort("other", id).await), "NoSuchUpload");
    assert_eq!(code(abort(key, "../../../hydrant").await), "NoSuchUpload");
    abort(key, id).await.unwrap();
    assert_eq!(code(abort(key, id).await), "NoSuchUpload");
    let late =
        client.upload_part().bucket(BUCKET).key(key).upload_id(id).part_number(1).body(ByteStream::from_static(b"x"));
    assert_eq!(code(late.send().await), "NoSuchUpload");
    let small = send_part(&client, "y", &ids[3].1, 1, vec![0; 10]).await;
    let last = send_part(&client, "y", &ids[3].1, 2, vec![0; 10]).await;
    let complete = client.complete_multipart_upload().bucket(BUCKET).key("y").upload_id(&ids[3].1);
    assert_eq!(code(complete.multipart_upload(named([small, last])).send().await), "EntityTooSmall");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_copied_from_objects() {
    let server = Server::start().await;
    let client = server.client();
    client
        .put_object()
        .bucket(BUCKET)
        .key("from")
        .body(ByteStream::from_static(b"xx123456789xx"))
        .send()
        .await
        .unwrap();
    let begun = client.create_multipart_upload().bucket(BUCKET).key("to").checksum_algorithm(ChecksumAlgorithm::Crc32C);
    let id = begun.checksum_type(ChecksumType::FullObject).send().await.unwrap().upload_id.unwrap();
    let copy =
        client.upload_part_copy().bucket(BUCKET).key("to").upload_id(&id).part_number(1).copy_source("hydrant/from");
    assert_eq!(code(copy.clone().copy_source_range("bytes=99-100").send().await), "InvalidRange");
    let copied = copy.copy_source_range("bytes=2-10").send().await.unwrap().copy_part_result.unwrap();
    assert_eq!(copied.checksum_crc32_c(), Some("4waSgw=="));
    let part = CompletedPart::builder().part_number(1).set_e_tag(copied.e_tag).build();
    let complete =
        client.complete_multipart_upload().bucket(BUCKET).key("to").upload_id(&id).multipart_upload(named([part]));
    complete.send().await.unwrap();
    let got = client.get_object().bucket(BUCKET).key("to").send().await.unwrap();
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"123456789");
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_of_parts_and_of_the_whole() {
    let server = Server::start().await;
    let client = server.client();
    let cases = [
        (ChecksumAlgorithm::Crc32, ChecksumType::Composite),
        (ChecksumAlgorithm::Crc32C, ChecksumType::FullObject),
        (ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject),
        (ChecksumAlgorithm::Sha256, ChecksumType::Composite),
    ];
    for (algorithm, kind) in cases {
        let begun = client.create_multipart_upload().bucket(BUCKET).key("k").checksum_algorithm(algorithm.clone());
        let id = begun.checksum_type(kind.clone()).send().await.unwrap().upload_id.unwrap();
        let body = b"123456789".to_vec();
        let part = client.upload_part().bucket(BUCKET).key("k").upload_id(&id).part_number(1).body(body.clone().into());
        let part = part.checksum_algorithm(algorithm.clone()).send().await.unwrap();
        let bare = server.bare_client();
        let without = bare.upload_part().bucket(BUCKET).key("k").upload_id(&id).part_number(2).body(body.into());
        assert_eq!(code(without.send().await), "InvalidRequest");
        let part = CompletedPart::builder()
            .part_number(1)
            .set_e_tag(part.e_tag)
            .set_checksum_crc32(part.checksum_crc32)
            .set_checksum_crc32_c(part.checksum_crc32_c)
            .set_checksum_crc64_nvme(part.checksum_crc64_nvme)
            .set_checksum_sha256(part.checksum_sha256)
            .build();
        let complete =
            client.complete_multipart_upload().bucket(BUCKET).key("k").upload_id(&id).multipart_upload(named([part]));
        if algorithm == ChecksumAlgorithm::Crc32C {
            assert_eq!(code(complete.clone().checksum_crc32_c("AAAAAA==").send().await), "BadDigest");
            complete.checksum_crc32_c("4waSgw==").send().await.unwrap();
        } else {
            complete.send().await.unwrap();
        }
        let head =
            client.head_object().bucket(BUCKET).key("k").checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
        assert_eq!(head.checksum_type(), Some(&kind), "{algorithm}");
        match algorithm {
            ChecksumAlgorithm::Crc32C => assert_eq!(head.checksum_crc32_c(), Some("4waSgw==")),
            ChecksumAlgorithm::Crc64Nvme => assert_eq!(head.checksum_crc64_nvme(), Some("rosUhgp5mIg=")),
            // CRC-32 of the four bytes of the CRC-32 of the part.
            ChecksumAlgorithm::Crc32 => assert!(head.checksum_crc32().unwrap().ends_with("==-1")),
            _ => assert!(head.checksum_sha256().unwrap().ends_with("=-1")),
        }
        let got = client.get_object().bucket(BUCKET).key("k").send().await.unwrap();
        assert_eq!(got.body.collect().await.unwrap().to_vec(), b"123456789");
    }
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_completes_and_puts_exactly_one_wins() {
    let server = Server::start().await;
    let client = server.client();
    for round in 0..20 {
        let key = format!("race/{round}");
        let mut uploads = Vec::new();
        for who in 0..6u8 {
            let id = begin(&client, &key).await;
            let part = send_part(&client, &key, &id, 1, vec![who; 100]).await;
            uploads.push((who, id, part));
        }
        // Each upload is completed twice, beside two plain puts.
        let completes = uploads.iter().chain(&uploads).map(|(who, id, part)| {
            let request = client.complete_multipart_upload().bucket(BUCKET).key(&key).upload_id(id).if_none_match("*");
            let request = request.multipart_upload(named([part.clone()]));
            async move {
                (
                    *who,
                    request.send().await.map(drop).map_err(|e| e.into_service_error().meta().code().map(str::to_owned)),
                )
            }
        });
        let puts = (6..8u8).map(|who| {
            let request = client.put_object().bucket(BUCKET).key(&key).if_none_match("*").body(vec![who; 100].into());
            async move {
                (
                    who,
                    request.send().await.map(drop).map_err(|e| e.into_service_error().meta().code().map(str::to_owned)),
                )
            }
        });
        let (mut outcomes, more) = tokio::join!(join_all(completes), join_all(puts));
        outcomes.extend(more);
        let winners: Vec<u8> = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(who, _)| *who).collect();
        assert_eq!(winners.len(), 1, "round {round}: {outcomes:?}");
        for (who, outcome) in outcomes {
            match outcome.as_ref().map_err(|code| code.as_deref()) {
                Ok(()) | Err(Some("PreconditionFailed")) => {}
                // The winner's upload is gone when it is completed again.
                Err(Some("NoSuchUpload")) => assert_eq!(who, winners[0]),
                other => panic!("{other:?}"),
            }
        }
        let got = client.get_object().bucket(BUCKET).key(&key).send().await.unwrap();
        assert_eq!(got.body.collect().await.unwrap().to_vec(), vec![winners[0]; 100]);
    }
    server.running.stop().await;
}

/// Set for the process of the measurement.
const HALF: &str = "HYDRANT_TEST_HALF_LARGE_PUTS";
/// What the measurement prints once it is done, so that nobody takes "it did nothing" for "it stayed small".
const MEASURED: &str = "MiB more at the peak";

#[test]
fn many_large_puts_at_once_stay_small_in_memory() {
    if resident_bytes() == 0 {
        println!("skipped: this system does not tell the size of a process in /proc/self/status");
        return;
    }
    // Memory is counted by process: this one is shared with other tests.
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["embedded::tests::multipart::half_large_puts", "--exact", "--nocapture"])
        .env(HALF, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && output.contains("1 passed") && output.contains(MEASURED),
        "{output}{}",
        String::from_utf8_lossy(&child.stderr)
    );
}

/// The other half of the test above, which runs it in a process of its own; by itself it does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn half_large_puts() {
    if std::env::var_os(HALF).is_none() {
        return;
    }
    let server = Server::start().await;
    let client = server.bare_client();
    let path = server.dir.path().join("input");
    std::fs::write(&path, vec![7; 24 * MIB]).unwrap();
    let before = resident_bytes();
    let puts = (0..16).map(|who| {
        let (client, path) = (client.clone(), path.clone());
        async move {
            let body = ByteStream::from_path(&path).await.unwrap();
            client.put_object().bucket(BUCKET).key(format!("{who}")).body(body).send().await.unwrap();
        }
    });
    join_all(puts).await;
    // 384 MiB went through client and server.
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 100 << 20, "{grown} bytes more");
    println!("{} {MEASURED}", grown >> 20);
    server.running.stop().await;
}

/// Highest resident size of this process so far; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

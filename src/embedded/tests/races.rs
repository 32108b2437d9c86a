//! Many clients at once.

use super::*;
use aws_sdk_s3::primitives::ByteStream;
use futures::future::join_all;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_create_only_puts_exactly_one_wins() {
    let server = Server::start().await;
    let client = server.client();
    for round in 0..30 {
        let key = format!("race/{round}");
        let puts = (0..16).map(|who| {
            let body = vec![who as u8; 1000 + who];
            client
                .put_object()
                .bucket(BUCKET)
                .key(&key)
                .body(body.into())
                .metadata("who", who.to_string())
                .if_none_match("*")
                .send()
        });
        let outcomes = join_all(puts).await;
        let winners: Vec<usize> =
            outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_ok()).map(|(who, _)| who).collect();
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        let winner = winners[0];
        let etag = outcomes[winner].as_ref().unwrap().e_tag().map(str::to_owned);
        for outcome in outcomes {
            assert!(outcome.is_ok() || status(outcome) == 412);
        }
        let got = client.get_object().bucket(BUCKET).key(&key).send().await.unwrap();
        assert_eq!(
            (got.e_tag(), got.metadata().unwrap()["who"].as_str()),
            (etag.as_deref(), winner.to_string().as_str())
        );
        assert_eq!(got.body.collect().await.unwrap().to_vec(), vec![winner as u8; 1000 + winner]);
    }
    assert_eq!(files_below(&server.dir.path().join(".hydrant/tmp")), Vec::<PathBuf>::new());
    server.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_one_version_whole_while_writers_overwrite() {
    let server = Server::start().await;
    let client = server.client();
    let put = |version: usize| {
        let body = vec![version as u8; 10_000 + version];
        client.put_object().bucket(BUCKET).key("k").body(body.into()).metadata("version", version.to_string()).send()
    };
    put(0).await.unwrap();
    let writers = (0..4).map(|writer| async move {
        for at in 1..15 {
            put(writer * 20 + at).await.unwrap();
        }
    });
    let readers = (0..4).map(|_| {
        let client = client.clone();
        async move {
            for _ in 0..40 {
                let got = client.get_object().bucket(BUCKET).key("k").send().await.unwrap();
                let version: usize = got.metadata().unwrap()["version"].parse().unwrap();
                assert_eq!(got.body.collect().await.unwrap().to_vec(), vec![version as u8; 10_000 + version]);
            }
        }
    });
    tokio::join!(join_all(writers), join_all(readers));
    server.running.stop().await;
}

/// `a` and `a/b` come and go at once: each moves the other's file or folder about.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn objects_and_folders_of_one_name_race_without_loss() {
    let server = Server::start().await;
    let client = server.client();
    for round in 0..10 {
        let keys: Vec<String> = ["", "/b", "/b/c", "/", "/b/c/d"].iter().map(|end| format!("{round}/a{end}")).collect();
        let works = keys.iter().map(|key| {
            let client = client.clone();
            async move {
                for at in 0..5 {
                    let body = ByteStream::from(format!("{key} {at}").into_bytes());
                    client.put_object().bucket(BUCKET).key(key).body(body).send().await.unwrap();
                    let got = client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
                    assert_eq!(got.body.collect().await.unwrap().to_vec(), format!("{key} {at}").into_bytes());
                    if at % 2 == 0 {
                        client.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
                    }
                }
            }
        });
        join_all(works).await;
        let listed = client.list_objects_v2().bucket(BUCKET).prefix(format!("{round}/")).send().await.unwrap();
        assert_eq!(listed.key_count(), Some(0), "{listed:?}");
        assert!(!server.file(&round.to_string()).exists());
    }
    server.running.stop().await;
}

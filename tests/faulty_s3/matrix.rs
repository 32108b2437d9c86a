//! Every fault that a call can meet, at the first, a middle and the last call of its kind.

use super::proxy::Fault;
use super::scenario::{Scenario, Way};
use futures::StreamExt;
use hydrant::destination::s3::answer::Call;

/// Scenarios played at once.
const AT_ONCE: usize = 8;

/// Faults that a call can meet.
fn faults(call: Call) -> Vec<Fault> {
    use Fault::*;
    let mut faults = vec![
        Answer(500, "InternalError"),
        AnswerAfter(500, "InternalError"),
        Answer(503, "SlowDown"),
        AnswerAfter(503, "ServiceUnavailable"),
        ResetBefore,
        ResetAfter,
        ReplyLost,
        SilentBefore,
        SilentAfter,
        Slow,
        Truncated,
        Foreign,
    ];
    if call != Call::Head {
        faults.extend([
            // The status is fine, the body is an error. HEAD has no body to hold one.
            Answer(200, "InternalError"),
            AnswerAfter(200, "InternalError"),
        ]);
    }
    if !matches!(call, Call::List | Call::Abort) {
        // Who may neither list nor abort delivers all the same, and leaves uploads behind; that has its own test.
        faults.push(Answer(403, "AccessDenied"));
    }
    if call != Call::Create {
        // An upload that comes to be after its abort is found by nobody; a lifecycle rule of the bucket removes it.
        faults.extend([LateAfterSame, LateAfterAny]);
    }
    match call {
        Call::Put | Call::Complete => faults.extend([
            Answer(409, "ConditionalRequestConflict"),
            AnswerAfter(409, "ConditionalRequestConflict"),
            AnswerAfter(412, "PreconditionFailed"),
            AnswerAfter(404, if call == Call::Put { "NotFound" } else { "NoSuchUpload" }),
        ]),
        Call::Head => faults.push(AnswerAfter(404, "NotFound")),
        Call::Part => faults.extend([Answer(404, "NoSuchUpload"), AnswerAfter(404, "NoSuchUpload")]),
        Call::Abort => faults.extend([AnswerAfter(404, "NoSuchUpload"), Answer(409, "OperationAborted")]),
        Call::Create => faults.push(Answer(409, "OperationAborted")),
        Call::List => {}
    }
    if call == Call::Complete {
        faults.push(Answer(404, "NoSuchUpload"));
    }
    if matches!(call, Call::Put | Call::Part) {
        faults.push(BitFlip);
    }
    faults
}

/// The scenarios for calls of which a clean play makes so many.
pub fn scenarios(calls: &[(Way, Call, usize)]) -> Vec<Scenario> {
    let mut all = Vec::new();
    for &(way, call, last) in calls {
        for fault in faults(call) {
            if way == Way::PartsReplyLost && fault == Fault::Foreign {
                // The parcel was seen there before; who replaces it then takes away what is delivered.
                continue;
            }
            for nth in [1, last.div_ceil(2), last] {
                all.push(Scenario { way, call, nth, fault });
            }
        }
    }
    all
}

/// Plays all, each under a prefix of its own; prints how many ended well, and panics unless all did.
pub async fn play_all<F>(what: &str, all: Vec<Scenario>, play: impl Fn(Scenario, String) -> F)
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let total = all.len();
    let failed: Vec<(Scenario, String)> = futures::stream::iter(all.into_iter().enumerate())
        .map(|(i, scenario)| {
            let playing = tokio::spawn(play(scenario, format!("{i:03}/")));
            async move { (scenario, playing.await.unwrap_or_else(|died| Err(died.to_string()))) }
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|(scenario, ended)| async move { Some((scenario, ended.err()?)) })
        .collect()
        .await;
    for (scenario, found) in &failed {
        eprintln!("{scenario:?}: {found}");
    }
    println!("{what}: {} of {total}", total - failed.len());
    assert!(failed.is_empty(), "{} of {total} scenarios failed", failed.len());
}

//! The proxy: passes requests on one by one and plays the fault that its script has for a call.

use super::message::{Request, error_answer, read_request};
use hydrant::destination::s3::answer::Call;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Pause of a slow store.
const SLOWNESS: std::time::Duration = std::time::Duration::from_millis(30);

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answered with an error, not passed on.
    Answer(u16, &'static str),
    /// Passed on; the answer is replaced by an error.
    AnswerAfter(u16, &'static str),
    /// The connection is reset before the request is passed on.
    ResetBefore,
    /// Passed on, then reset.
    ResetAfter,
    /// Passed on, then closed without a byte.
    ReplyLost,
    /// Not passed on, and never answered.
    SilentBefore,
    /// Passed on, and never answered.
    SilentAfter,
    /// Passed on; half of the answer comes back.
    Truncated,
    /// Passed on late, and the answer comes in small pieces.
    Slow,
    /// The connection is reset; the request arrives all the same, after the next one of its kind.
    LateAfterSame,
    /// The connection is reset; the request arrives all the same, after the next one of any kind.
    LateAfterAny,
    /// Passed on with one bit of the body turned.
    BitFlip,
    /// Before the request, somebody else writes an object under the key.
    Foreign,
    /// Before the request, the object under the key is deleted: how a store that ignores conditions looks.
    Unconditional,
}

/// Which calls a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The n-th of its kind, from 1.
    Nth(usize),
    /// First, third, … of its kind.
    Odd,
    /// Each.
    Always,
}

/// A line of the script.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub call: Call,
    pub when: When,
    pub fault: Fault,
}

/// What the proxy does to the store by another way, given by the judge: `(key, foreign)` writes a foreign object, or
/// else deletes what is there.
pub type Hand = Arc<dyn Fn(String, bool) -> futures::future::BoxFuture<'static, ()> + Send + Sync>;

struct Inner {
    upstream: SocketAddr,
    rules: Vec<Rule>,
    hand: Hand,
    seen: Mutex<HashMap<Call, usize>>,
    fired: Mutex<Vec<Rule>>,
    requests: Mutex<Vec<Request>>,
    /// Requests that arrive late: after which call, or after any.
    late: Mutex<Vec<(Option<Call>, Request)>>,
}

/// A proxy that runs until it is dropped.
pub struct Proxy {
    pub addr: SocketAddr,
    inner: Arc<Inner>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// Starts on a free port; the first rule that fits a call is played.
    pub async fn start(upstream: SocketAddr, rules: Vec<Rule>, hand: Hand) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            upstream,
            rules,
            hand,
            seen: Mutex::default(),
            fired: Mutex::default(),
            requests: Mutex::default(),
            late: Mutex::default(),
        });
        let serving = inner.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(serving.clone().serve(client));
            }
        });
        Self { addr, inner, accepting }
    }

    /// How often a fault for this call was played.
    pub fn fired(&self, call: Call, fault: Fault) -> usize {
        self.inner.fired.lock().iter().filter(|rule| rule.call == call && rule.fault == fault).count()
    }

    /// Calls of a kind so far.
    pub fn calls(&self, call: Call) -> usize {
        self.inner.seen.lock().get(&call).copied().unwrap_or(0)
    }

    /// Whether no request waits to arrive late.
    pub fn all_arrived(&self) -> bool {
        self.inner.late.lock().is_empty()
    }

    /// All requests of a kind, without their bodies.
    pub fn requests(&self, call: Call) -> Vec<Request> {
        self.inner.requests.lock().iter().filter(|request| request.call() == Some(call)).cloned().collect()
    }
}

impl Inner {
    /// One request a connection: the answer says `connection: close`.
    async fn serve(self: Arc<Self>, mut client: TcpStream) {
        let Ok(Some(mut request)) = read_request(&mut client).await else { return };
        let fault = self.fault_for(&request);
        let key = key_of(&request.target);
        let is_head = request.method == "HEAD";
        let answer = match fault {
            Some(Fault::Answer(status, code)) => error_answer(status, code, !is_head),
            Some(Fault::ResetBefore) => return reset(client),
            Some(Fault::SilentBefore) => return wait_for_hang_up(client).await,
            Some(Fault::LateAfterSame | Fault::LateAfterAny) => {
                let after = request.call().filter(|_| fault == Some(Fault::LateAfterSame));
                self.late.lock().push((after, request));
                return reset(client);
            }
            _ => {
                match fault {
                    Some(Fault::BitFlip) => {
                        let middle = request.body.len() / 2;
                        request.body[middle] ^= 0x10;
                    }
                    Some(Fault::Foreign) => (self.hand)(key, true).await,
                    Some(Fault::Unconditional) => (self.hand)(key, false).await,
                    _ => {}
                }
                if fault == Some(Fault::Slow) {
                    tokio::time::sleep(SLOWNESS).await;
                }
                let Some(answer) = self.pass_on(&request).await else { return };
                self.pass_on_late_ones(request.call()).await;
                match fault {
                    Some(Fault::Slow) => return dribble(client, &answer).await,
                    Some(Fault::AnswerAfter(status, code)) => error_answer(status, code, !is_head),
                    Some(Fault::ResetAfter) => return reset(client),
                    Some(Fault::ReplyLost) => return,
                    Some(Fault::SilentAfter) => return wait_for_hang_up(client).await,
                    Some(Fault::Truncated) => answer[..answer.len() / 2].to_vec(),
                    _ => answer,
                }
            }
        };
        if client.write_all(&answer).await.is_ok() {
            let _ = client.shutdown().await;
        }
    }

    fn fault_for(&self, request: &Request) -> Option<Fault> {
        let Some(call) = request.call() else { panic!("no operation of the destination: {request:?}") };
        self.requests.lock().push(Request { body: Vec::new(), ..request.clone() });
        let number = {
            let mut seen = self.seen.lock();
            let number = seen.entry(call).or_default();
            *number += 1;
            *number
        };
        let fits = |rule: &&Rule| {
            rule.call == call
                && match rule.when {
                    When::Nth(n) => n == number,
                    When::Odd => number % 2 == 1,
                    When::Always => true,
                }
        };
        let rule = *self.rules.iter().find(fits)?;
        self.fired.lock().push(rule);
        Some(rule.fault)
    }

    /// Passes on what waited for `call`, before that one is answered.
    async fn pass_on_late_ones(&self, call: Option<Call>) {
        let arriving: Vec<Request> = {
            let mut late = self.late.lock();
            let (now, later) = late.drain(..).partition(|(after, _)| after.is_none() || *after == call);
            *late = later;
            let now: Vec<(Option<Call>, Request)> = now;
            now.into_iter().map(|(_, request)| request).collect()
        };
        for request in arriving {
            // Nobody hears the answer.
            self.pass_on(&request).await;
        }
    }

    async fn pass_on(&self, request: &Request) -> Option<Vec<u8>> {
        let mut server = TcpStream::connect(self.upstream).await.ok()?;
        server.write_all(&request.to_bytes()).await.ok()?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await.ok()?;
        Some(answer)
    }
}

async fn dribble(mut client: TcpStream, answer: &[u8]) {
    for piece in answer.chunks(40) {
        if client.write_all(piece).await.is_err() {
            return;
        }
        tokio::time::sleep(SLOWNESS / 10).await;
    }
    let _ = client.shutdown().await;
}

/// The key in `/bucket/key?query`, or the prefix of a listing.
fn key_of(target: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let key = match query.split('&').find_map(|pair| pair.strip_prefix("prefix=")) {
        Some(prefix) => prefix,
        None => path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key),
    };
    percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned()
}

fn reset(client: TcpStream) {
    // A close with a zero linger time sends a reset.
    client.set_zero_linger().unwrap();
}

async fn wait_for_hang_up(mut client: TcpStream) {
    let _ = client.read_u8().await;
}

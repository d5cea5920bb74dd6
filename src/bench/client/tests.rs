//! Against servers that misbehave in ways the mock does not: each is a few lines over a socket.

use std::cell::Cell;
use std::future::Future;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::mock::Fault;
use crate::mock::{Scenario, spawn};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

const TOKEN: &str = r#"{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#;

const LAST: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}"#;

/// An event as a chunk of its own.
fn event(data: &str) -> String {
    let event = format!("data: {data}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len())
}

/// One token and a good end.
fn answer() -> String {
    [HEAD.to_owned(), event(TOKEN), event(LAST), event("[DONE]"), "0\r\n\r\n".to_owned()].concat()
}

/// A server whose every connection is held by `converse`, which is told its number.
struct Server {
    url: String,
    connections: Rc<Cell<usize>>,
}

async fn server<F: Future<Output = ()> + 'static>(
    converse: impl Fn(usize, TcpStream) -> F + 'static,
) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Rc::new(Cell::new(0));
    let count = connections.clone();
    tokio::task::spawn_local(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            count.set(count.get() + 1);
            tokio::task::spawn_local(converse(count.get(), socket));
        }
    });
    Server { url, connections }
}

/// Read one request; false where the client has gone.
async fn asked(socket: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match socket.read(&mut piece).await {
            Ok(read) if read > 0 => seen.extend_from_slice(&piece[..read]),
            _ => return false,
        }
        // The body of every request here.
        if seen.ends_with(b"\r\n\r\n{}") {
            return true;
        }
    }
}

async fn say(socket: &mut TcpStream, text: &str) {
    // A client that has gone is what some tests are about.
    let _ = socket.write_all(text.as_bytes()).await;
}

async fn forever() {
    std::future::pending().await
}

const PATIENT: RequestLimits = RequestLimits {
    connect_s: 60.0,
    first_token_s: 60.0,
    stall_s: 60.0,
    request_s: 60.0,
    answer_bytes: 1 << 20,
    failed_share: 0.0,
    retries: 0,
};

async fn client(url: &str, limits: RequestLimits) -> Rc<Client> {
    let target = ServerTarget::new(url, None).unwrap();
    let connector = Connector::new(&target, None).await.unwrap();
    Rc::new(Client::new(&target, connector, Protocol::Chat, limits, false).unwrap())
}

/// Hears nothing, and counts.
#[derive(Default)]
struct Count(Cell<u32>);

impl Watcher for Count {
    fn output(&self, first: bool, _: u64, tokens: u32) {
        assert_eq!(first, self.0.get() == 0);
        self.0.set(self.0.get() + tokens);
    }
}

async fn ask(client: &Rc<Client>) -> Attempt {
    let halt = Halt::new(CancellationToken::new());
    let count = Count::default();
    let asked = client.ask("id", b"{}", &count, &halt);
    tokio::time::timeout(Duration::from_secs(30), asked).await.expect("nothing came of it")
}

/// Until the last answer's connection lies ready, or has been given up.
async fn settled(client: &Rc<Client>, idle: usize) {
    let ready = async {
        while client.idle.borrow().len() != idle {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ready).await.expect("no connection was kept");
}

fn class(asked: &Attempt) -> FailureClass {
    match &asked.outcome {
        Outcome::Failed { class, .. } => *class,
        other => panic!("{other:?}"),
    }
}

async fn locally<F: Future>(future: F) -> F::Output {
    LocalSet::new().run_until(future).await
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    locally(async {
        let server = server(|_, mut socket| async move {
            while asked(&mut socket).await {
                say(&mut socket, &answer()).await;
            }
        })
        .await;
        let client = client(&server.url, PATIENT).await;
        for _ in 0..3 {
            let asked = ask(&client).await;
            assert_eq!(asked.outcome, Outcome::Done);
            assert_eq!((asked.answer.output_tokens, asked.answer.chunk_us.len()), (1, 1));
            let lasted = micros(asked.ended - asked.sent);
            assert!(asked.answer.chunk_us[0] <= lasted, "no output comes after the end");
            settled(&client, 1).await;
        }
        assert_eq!(server.connections.get(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_without_saying_so_fails_no_request() {
    locally(async {
        let server = server(|_, mut socket| async move {
            if asked(&mut socket).await {
                say(&mut socket, &answer()).await;
            }
        })
        .await;
        let client = client(&server.url, PATIENT).await;
        // At once, while the end of the connection is still on its way, and later, when it is known.
        for wait in [0, 0, 0, 0, 20, 20] {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            assert_eq!(ask(&client).await.outcome, Outcome::Done);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(client.idle_connection().is_none(), "it is known to be closed");
    })
    .await;
}

#[tokio::test]
async fn a_kept_connection_that_closes_on_the_next_request_is_made_up_for() {
    locally(async {
        let server = server(|_, mut socket| async move {
            if asked(&mut socket).await {
                say(&mut socket, &answer()).await;
                asked(&mut socket).await;
            }
        })
        .await;
        let client = client(&server.url, PATIENT).await;
        for connections in [1, 2] {
            assert_eq!(ask(&client).await.outcome, Outcome::Done);
            assert_eq!(server.connections.get(), connections);
            settled(&client, 1).await;
        }
    })
    .await;
}

#[tokio::test]
async fn bytes_behind_an_answer_spoil_the_connection_and_no_request() {
    locally(async {
        let server = server(|_, mut socket| async move {
            while asked(&mut socket).await {
                say(&mut socket, &(answer() + "HTTP/1.1 999 what?\r\n\r\n\0garbage")).await;
            }
        })
        .await;
        let client = client(&server.url, PATIENT).await;
        for wait in [0, 0, 20, 20] {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            assert_eq!(ask(&client).await.outcome, Outcome::Done);
        }
        assert_eq!(server.connections.get(), 4);
    })
    .await;
}

#[tokio::test]
async fn connections_opened_ahead_are_used_and_closed_ones_made_up_for() {
    locally(async {
        let open = server(|_, mut socket| async move {
            while asked(&mut socket).await {
                say(&mut socket, &answer()).await;
            }
        })
        .await;
        let client_ = client(&open.url, PATIENT).await;
        client_.open_ahead(3).await;
        assert_eq!(client_.idle.borrow().len(), 3);
        assert_eq!(ask(&client_).await.outcome, Outcome::Done);
        assert_eq!(open.connections.get(), 3);

        // Closes whatever says nothing at once: the first three.
        let impatient = server(|number, mut socket| async move {
            while number > 3 && asked(&mut socket).await {
                say(&mut socket, &answer()).await;
            }
        })
        .await;
        let client = client(&impatient.url, PATIENT).await;
        client.open_ahead(3).await;
        assert_eq!(ask(&client).await.outcome, Outcome::Done);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_opened_ahead_is_missing() {
    locally(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = client(&url, PATIENT).await;
        client.open_ahead(2).await;
        assert_eq!(client.idle.borrow().len(), 0);
        let asked = ask(&client).await;
        assert_eq!(class(&asked), FailureClass::Connect);
        assert!(asked.sent <= asked.ended);
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_over_at_done_whatever_follows() {
    locally(async {
        let server = server(|_, mut socket| async move {
            asked(&mut socket).await;
            say(&mut socket, &answer().replace("0\r\n\r\n", "")).await;
            forever().await;
        })
        .await;
        let client = client(&server.url, PATIENT).await;
        assert_eq!(ask(&client).await.outcome, Outcome::Done);
        assert_eq!(ask(&client).await.outcome, Outcome::Done);
        assert_eq!(server.connections.get(), 2, "a connection with an unread answer serves no request");
    })
    .await;
}

#[tokio::test]
async fn each_way_to_break_off_has_its_name() {
    let hasty = RequestLimits { first_token_s: 0.2, ..PATIENT };
    let half_head = &HEAD[..30];
    let half_event = || format!("{HEAD}{}", &event(TOKEN)[..20]);
    for (said, hangs, limits, expected) in [
        (String::new(), false, PATIENT, FailureClass::CutOff),
        (String::new(), true, hasty, FailureClass::FirstTokenTimeout),
        (half_head.to_owned(), false, PATIENT, FailureClass::CutOff),
        (half_head.to_owned(), true, hasty, FailureClass::FirstTokenTimeout),
        (HEAD.to_owned(), true, hasty, FailureClass::FirstTokenTimeout),
        (half_event(), false, PATIENT, FailureClass::CutOff),
        (half_event(), true, hasty, FailureClass::FirstTokenTimeout),
        (format!("{HEAD}{}", event(TOKEN)), false, PATIENT, FailureClass::CutOff),
        (
            format!("{HEAD}{}", event(TOKEN)),
            true,
            RequestLimits { stall_s: 0.2, ..PATIENT },
            FailureClass::Stalled,
        ),
        (
            format!("{HEAD}{}", event(TOKEN)),
            true,
            RequestLimits { request_s: 0.2, ..PATIENT },
            FailureClass::RequestTimeout,
        ),
        ("\0\x01\x02 garbage\r\n\r\n".to_owned(), true, PATIENT, FailureClass::Malformed),
        (format!("{HEAD}no chunk\r\n"), true, PATIENT, FailureClass::Malformed),
        (format!("{HEAD}{}0\r\n\r\n", event(TOKEN)), true, PATIENT, FailureClass::CutOff),
        (
            "HTTP/1.1 500 Oh\r\ncontent-length: 100\r\n\r\nout of memory".to_owned(),
            true,
            PATIENT,
            FailureClass::HttpStatus,
        ),
    ] {
        locally(async {
            let (told, text) = (said.clone(), said.clone());
            let server = server(move |_, mut socket| {
                let said = said.clone();
                async move {
                    asked(&mut socket).await;
                    say(&mut socket, &said).await;
                    if hangs {
                        forever().await;
                    }
                }
            })
            .await;
            let client = client(&server.url, limits).await;
            let asked = ask(&client).await;
            assert_eq!(class(&asked), expected, "{told:?}: {:?}", asked.outcome);
            let tokens = usize::from(text.contains(&event(TOKEN)));
            assert_eq!(asked.answer.chunk_us.len(), tokens, "what came is kept: {told:?}");
            assert!(asked.sent <= asked.ended);
            if expected == FailureClass::HttpStatus {
                let Outcome::Failed { message, .. } = &asked.outcome else { unreachable!() };
                assert!(message.contains("500") && message.contains("out of memory"), "{message}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn the_mocks_faults_have_their_names() {
    for (fault, expected) in [
        (Fault::Html, FailureClass::NotAStream),
        (Fault::Status(503), FailureClass::HttpStatus),
        (Fault::ErrorAfter(2), FailureClass::ServerError),
        (Fault::CutAfter(2), FailureClass::CutOff),
        (Fault::ZeroTokens, FailureClass::NoTokens),
        (Fault::Garbage, FailureClass::Malformed),
        (Fault::Endless, FailureClass::TooLarge),
    ] {
        let fast = Duration::from_millis(1);
        let scenario = Scenario { ttft: fast, itl: fast, fault: Some(fault), ..Scenario::default() };
        let mock = spawn(scenario, ([127, 0, 0, 1], 0).into()).unwrap();
        locally(async {
            let client = client(&mock.url(), RequestLimits { answer_bytes: 10_000, ..PATIENT }).await;
            let body = br#"{"model":"mock","messages":[{"role":"user","content":"a"}],"max_tokens":4,"stream":true}"#;
            let halt = Halt::new(CancellationToken::new());
            let asked = client.ask("id", body, &Count::default(), &halt).await;
            assert_eq!(class(&asked), expected, "{fault:?}: {:?}", asked.outcome);
        })
        .await;
    }
}

/// A proxy that has heard enough says so, reads no further and keeps the connection.
#[tokio::test]
async fn an_answer_before_the_request_is_read_is_heard() {
    locally(async {
        let server = server(|_, mut socket| async move {
            let mut beginning = [0; 1024];
            socket.read_exact(&mut beginning).await.unwrap();
            say(&mut socket, "HTTP/1.1 413 Too Large\r\ncontent-length: 8\r\n\r\ntoo long").await;
            forever().await;
        })
        .await;
        let client = client(&server.url, PATIENT).await;
        let halt = Halt::new(CancellationToken::new());
        // More than any socket buffers.
        let body = vec![b' '; 64 << 20];
        let count = Count::default();
        let asked = client.ask("id", &body, &count, &halt);
        let asked = tokio::time::timeout(Duration::from_secs(30), asked).await.expect("nothing came of it");
        assert_eq!(class(&asked), FailureClass::HttpStatus);
        assert!(format!("{:?}", asked.outcome).contains("413 Too Large: too long"), "{:?}", asked.outcome);
        assert_eq!(client.idle.borrow().len(), 0, "half a request is still to be sent on it");
    })
    .await;
}

#[tokio::test]
async fn a_stop_in_mid_answer_keeps_what_came() {
    locally(async {
        let server = server(|_, mut socket| async move {
            asked(&mut socket).await;
            say(&mut socket, &format!("{HEAD}{}{}", event(TOKEN), event(TOKEN))).await;
            forever().await;
        })
        .await;
        let client = client(&server.url, PATIENT).await;
        let token = CancellationToken::new();
        let halt = Halt::new(token.clone());
        /// Stops the run at the first output.
        struct Stopper(CancellationToken);
        impl Watcher for Stopper {
            fn output(&self, _: bool, _: u64, _: u32) {
                self.0.cancel();
            }
        }
        let asked = client.ask("id", b"{}", &Stopper(token), &halt).await;
        assert_eq!(asked.outcome, Outcome::Interrupted);
        assert!(!asked.answer.chunk_us.is_empty() && asked.answer.output_tokens > 0);
        assert_eq!(client.idle.borrow().len(), 0, "its connection still has an answer on it");
    })
    .await;
}

#[tokio::test]
async fn more_requests_than_turns_to_open_connections_all_go_out() {
    locally(async {
        let server = server(|_, mut socket| async move {
            while asked(&mut socket).await {
                say(&mut socket, &answer()).await;
            }
        })
        .await;
        let client = client(&server.url, PATIENT).await;
        let all = (0..3 * OPENING).map(|_| ask(&client));
        let asked = futures_util::future::join_all(all).await;
        assert!(asked.iter().all(|asked| asked.outcome == Outcome::Done));
        assert_eq!(client.opening.available_permits(), OPENING, "every turn was given back");
    })
    .await;
}

#[tokio::test]
async fn a_key_no_header_can_hold_is_refused() {
    let target =
        ServerTarget::new("http://127.0.0.1:1", Some(crate::bench::target::ApiKey::new("a\nb"))).unwrap();
    let connector = Connector::new(&target, None).await.unwrap();
    let error = Client::new(&target, connector, Protocol::Chat, PATIENT, false).unwrap_err().to_string();
    assert!(error.contains("the API key") && !error.contains("a\nb"), "{error}");
}

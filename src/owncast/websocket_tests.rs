use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::*;
use crate::owncast::testing::{Reply, Server, base};

const WELCOME: &str = r#"{"type":"CONNECTED_USER_INFO","id":"x","user":{"displayName":"Fediverse"}}"#;

async fn run(socket: &Socket) -> (Closed, Vec<SocketEvent>) {
    let (sender, mut receiver) = mpsc::channel(100);
    let reason = socket.run(&Secret::from("t0ken&x"), &sender, &CancellationToken::new()).await;
    let mut events = Vec::new();
    while let Ok(event) = receiver.try_recv() {
        events.push(event);
    }
    assert_eq!(events.pop(), Some(SocketEvent::Closed { reason: reason.clone() }));
    (reason, events)
}

/// A websocket server for one connection.
async fn serve<F>(
    talk: impl FnOnce(WebSocketStream<TcpStream>) -> F + Send + 'static,
) -> (Socket, tokio::task::JoinHandle<()>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = Socket::new(&base(listener.local_addr().unwrap())).unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        talk(tokio_tungstenite::accept_async(stream).await.unwrap()).await;
    });
    (socket, task)
}

#[tokio::test]
async fn frames_become_events_and_pings_are_answered() {
    let (socket, task) = serve(|mut stream| async move {
        stream.send(Message::text(WELCOME)).await.unwrap();
        stream.send(Message::Ping(b"are you there".as_slice().into())).await.unwrap();
        let pong = stream.next().await.unwrap().unwrap();
        assert_eq!(pong, Message::Pong(b"are you there".as_slice().into()));
        let two = "{\"type\":\"VISIBILITY-UPDATE\",\"ids\":[\"probe\"]}\n{\"type\":\"SYSTEM\",\"id\":\"s\",\"body\":\"<p>\"}";
        stream.send(Message::text(two)).await.unwrap();
        stream.send(Message::text(WELCOME)).await.unwrap();
        let frame = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
        stream.close(Some(frame)).await.unwrap();
        while stream.next().await.is_some() {}
    })
    .await;
    let (reason, events) = run(&socket).await;
    assert_eq!(reason, Closed::ByOwncast);
    assert_eq!(
        events,
        [
            SocketEvent::Connected { display_name: "Fediverse".to_owned() },
            SocketEvent::Visibility { ids: vec!["probe".to_owned()] },
            SocketEvent::System { id: "s".to_owned(), body: "<p>".to_owned() },
            SocketEvent::Other,
        ]
    );
    task.await.unwrap();
}

#[tokio::test]
async fn refusals_before_the_upgrade_have_their_reasons() {
    let table = [
        (200, "CHAT_DISABLED", Closed::ChatDisabled),
        (200, "ERROR_MAX_CONNECTIONS_EXCEEDED\n", Closed::TooManyConnections),
        (401, "unauthorized", Closed::UnknownToken),
        (403, "", Closed::Banned),
        (503, "", Closed::Lost("HTTP 503 instead of an upgrade".to_owned())),
    ];
    for (status, body, expected) in table {
        let server = Server::start(move |_| Reply::Answer(status, "text/plain", body.into())).await;
        let socket = Socket::new(&server.url).unwrap();
        assert_eq!(run(&socket).await, (expected, vec![]), "{status} {body}");
        let asked = &server.asked()[0];
        assert_eq!(asked.target, "/ws?accessToken=t0ken%26x");
        assert_eq!(asked.header("upgrade"), Some("websocket"));
        assert_eq!(asked.header("origin"), None);
    }
    let server = Server::start(|_| Reply::Answer(200, "text/html", "<!doctype html>\nx".into())).await;
    let (reason, _) = run(&Socket::new(&server.url).unwrap()).await;
    let text = reason.to_string();
    assert!(matches!(reason, Closed::NotOwncast { .. }) && !text.contains("t0ken"), "{text}");
}

#[tokio::test]
async fn refusals_after_the_upgrade_have_their_reasons() {
    for (line, expected) in [
        (r#"{"type":"ERROR_NEEDS_REGISTRATION"}"#, Closed::UnknownToken),
        (r#"{"type":"ERROR_USER_DISABLED","user":{}}"#, Closed::UserDisabled),
    ] {
        let (socket, _task) = serve(move |mut stream| async move {
            stream.send(Message::text(line)).await.unwrap();
            let _ = stream.close(None).await;
        })
        .await;
        assert_eq!(run(&socket).await, (expected, vec![]));
    }
    let (socket, _task) = serve(|mut stream| async move {
        let _ = stream.close(None).await;
    })
    .await;
    assert_eq!(run(&socket).await, (Closed::ByOwncast, vec![]));
}

#[tokio::test]
async fn silence_a_flood_and_a_cut_end_the_connection() {
    let (mut socket, _task) = serve(|stream| async move {
        let _held = stream;
        std::future::pending::<()>().await;
    })
    .await;
    socket.silence = Duration::from_millis(50);
    assert_eq!(run(&socket).await.0, Closed::Silent);

    let (socket, _task) = serve(|mut stream| async move {
        let _ = stream.send(Message::text("x".repeat(MAX_MESSAGE + 1))).await;
    })
    .await;
    assert!(matches!(run(&socket).await.0, Closed::Lost(_)));

    let (socket, _task) = serve(|stream| async move { drop(stream) }).await;
    assert!(matches!(run(&socket).await.0, Closed::Lost(_)));

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (reason, _) = run(&Socket::new(&base(address)).unwrap()).await;
    assert!(matches!(&reason, Closed::Lost(text) if !text.contains("t0ken")), "{reason}");
}

#[tokio::test]
async fn our_pings_are_answered_and_keep_a_quiet_connection() {
    let (mut socket, task) = serve(|mut stream| async move {
        stream.send(Message::text(WELCOME)).await.unwrap();
        // Reading answers pings.
        while let Some(Ok(message)) = stream.next().await {
            if message.is_close() {
                break;
            }
        }
    })
    .await;
    socket.silence = Duration::from_secs(1);
    let (sender, mut receiver) = mpsc::channel(100);
    let cancel = CancellationToken::new();
    let inner = cancel.clone();
    let running = tokio::spawn(async move { socket.run(&Secret::from("t"), &sender, &inner).await });
    assert!(matches!(receiver.recv().await, Some(SocketEvent::Connected { .. })));
    // More than fit into the time of silence.
    for _ in 0..2 * UNANSWERED + 1 {
        assert!(matches!(receiver.recv().await, Some(SocketEvent::Alive { .. })));
    }
    cancel.cancel();
    assert_eq!(running.await.unwrap(), Closed::Ourselves);
    task.await.unwrap();
}

#[tokio::test]
async fn cancelling_says_good_bye() {
    let (socket, task) = serve(|mut stream| async move {
        stream.send(Message::text(WELCOME)).await.unwrap();
        assert!(matches!(stream.next().await, Some(Ok(Message::Close(_)))));
    })
    .await;
    let (sender, mut receiver) = mpsc::channel(100);
    let cancel = CancellationToken::new();
    let inner = cancel.clone();
    let running = tokio::spawn(async move { socket.run(&Secret::from("t"), &sender, &inner).await });
    assert!(matches!(receiver.recv().await, Some(SocketEvent::Connected { .. })));
    cancel.cancel();
    assert_eq!(running.await.unwrap(), Closed::Ourselves);
    assert_eq!(receiver.recv().await, Some(SocketEvent::Closed { reason: Closed::Ourselves }));
    task.await.unwrap();
}

#[tokio::test]
async fn a_full_channel_does_not_hold_up_the_stop() {
    let (socket, _task) = serve(|mut stream| async move {
        for _ in 0..3 {
            let _ = stream.send(Message::text(WELCOME)).await;
        }
        std::future::pending::<()>().await;
    })
    .await;
    let (sender, mut receiver) = mpsc::channel(1);
    let cancel = CancellationToken::new();
    let inner = cancel.clone();
    let filled = sender.clone();
    let running = tokio::spawn(async move { socket.run(&Secret::from("t"), &sender, &inner).await });
    assert!(matches!(receiver.recv().await, Some(SocketEvent::Connected { .. })));
    while filled.capacity() > 0 {
        tokio::task::yield_now().await;
    }
    cancel.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(60), running).await;
    assert_eq!(stopped.unwrap().unwrap(), Closed::Ourselves);
}

use super::*;

const LONG: f64 = 60.0;

fn limits(first_token_s: f64, stall_s: f64, request_s: f64) -> RequestLimits {
    RequestLimits {
        connect_s: LONG,
        first_token_s,
        stall_s,
        request_s,
        answer_bytes: 1 << 20,
        failed_share: 0.0,
        retries: 0,
    }
}

/// What becomes of waiting for what never comes; a panic where nothing does.
async fn waited(patience: &mut Patience) -> FailureClass {
    tokio::select! {
        biased;
        // Asked first: the timer under test is also looked at whenever its task is woken for something else.
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("nobody woke the task"),
        lost = patience.wait(std::future::pending::<()>()) => lost.unwrap_err().class,
    }
}

#[tokio::test]
async fn each_limit_ends_it_under_its_own_name() {
    let now = Instant::now;
    assert_eq!(
        waited(&mut Patience::new(now(), limits(0.01, LONG, LONG))).await,
        FailureClass::FirstTokenTimeout
    );
    assert_eq!(
        waited(&mut Patience::new(now(), limits(LONG, LONG, 0.01))).await,
        FailureClass::RequestTimeout
    );
    let mut stalled = Patience::new(now(), limits(LONG, 0.01, LONG));
    stalled.has_output();
    assert_eq!(waited(&mut stalled).await, FailureClass::Stalled);
    let mut endless = Patience::new(now(), limits(LONG, LONG, 0.01));
    endless.has_output();
    assert_eq!(waited(&mut endless).await, FailureClass::RequestTimeout);
}

#[tokio::test]
async fn a_deadline_that_came_closer_while_waiting_holds() {
    let mut patience = Patience::new(Instant::now(), limits(LONG, 0.02, LONG));
    // Sets the timer to the far deadline.
    patience.wait(tokio::time::sleep(Duration::from_millis(1))).await.unwrap();
    patience.heard(Instant::now());
    patience.has_output();
    assert_eq!(waited(&mut patience).await, FailureClass::Stalled);
}

#[tokio::test]
async fn every_byte_moves_the_deadline() {
    let began = Instant::now();
    let mut patience = Patience::new(began, limits(LONG, 0.05, LONG));
    patience.has_output();
    // The timer was set to fire at 50 ms; it does, and is set anew.
    patience.heard(began + Duration::from_millis(100));
    assert_eq!(waited(&mut patience).await, FailureClass::Stalled);
    assert!(began.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_task_without_budget_is_woken_all_the_same() {
    let mut patience = Patience::new(Instant::now(), limits(0.01, LONG, LONG));
    // In a task of its own, which nothing but the timer wakes.
    let task = tokio::spawn(async move {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        (0..1000).for_each(|number| sender.send(number).unwrap());
        let mut patience = pin!(async { patience.wait(std::future::pending::<()>()).await });
        poll_fn(|cx| {
            // What a burst of bytes does: every read takes of the budget of this turn.
            while receiver.poll_recv(cx).is_ready() {}
            patience.as_mut().poll(cx)
        })
        .await
    });
    let ended = tokio::time::timeout(Duration::from_secs(20), task).await;
    let lost = ended.expect("nobody woke the task").unwrap().unwrap_err();
    assert_eq!(lost.class, FailureClass::FirstTokenTimeout);
}

#[tokio::test]
async fn a_future_that_moves_to_another_task_is_woken_there() {
    let mut patience = Patience::new(Instant::now(), limits(0.01, LONG, LONG));
    let mut waiting = Box::pin(async move { patience.wait(std::future::pending::<()>()).await });
    let mut nobody = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut nobody).is_pending());
    let ended = tokio::time::timeout(Duration::from_secs(20), tokio::spawn(waiting)).await;
    assert!(ended.expect("nobody woke the task").unwrap().is_err());
}

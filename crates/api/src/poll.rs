//! Following one order by asking again and again, for callers that cannot hold a stream (store contract, section 3.10).
//!
//! At once, then every 5 s until it is paid, then every 30 s until it is over; the wait begins when the answer is there.
//! Failures in a row double it, up to a minute, and no wait is shorter than what `Retry-After` asks for. Who can hold a stream uses `track`: it is faster and costs the store
//! less. Programs of others call it.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::Sleep;

use crate::client::{Client, ClientError};
use crate::order::{Order, OrderState, PaymentState};

/// The wait before the payment is confirmed; the contract asks for 5 to 10 s.
pub const UNTIL_PAID: Duration = Duration::from_secs(5);
/// The wait after it.
pub const UNTIL_DONE: Duration = Duration::from_secs(30);
/// The longest wait after failures.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A store that asks for more is taken to have made a mistake: nobody waits a day for an order.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// One order being asked for. See [`Client::poll`].
pub struct Polling {
    client: Client,
    order_id: String,
    pace: Pace,
    step: Step,
}

/// What is under way; kept here and not in `next`, so that a caller that gives up on one call loses nothing.
enum Step {
    Ready,
    Waiting(Pin<Box<Sleep>>),
    Asking(Pin<Box<dyn Future<Output = Result<Order, ClientError>> + Send>>),
    Over,
}

/// How long to wait, from what was heard.
struct Pace {
    until_paid: Duration,
    until_done: Duration,
    longest: Duration,
    usual: Duration,
    failures: u32,
}

impl Client {
    /// Asks for an order until it is over. Nothing is sent before the first [`Polling::next`].
    pub fn poll(&self, order_id: &str) -> Polling {
        self.poll_with(order_id, Pace::new(UNTIL_PAID, UNTIL_DONE, LONGEST_WAIT))
    }

    fn poll_with(&self, order_id: &str, pace: Pace) -> Polling {
        Polling { client: self.clone(), order_id: order_id.to_owned(), pace, step: Step::Ready }
    }
}

impl Polling {
    /// The order as it is then, also if nothing is new; `None` once it is over, or after an error that stays.
    ///
    /// # Errors
    /// As [`Client::order`]; after each the call may be repeated, and asks again unless asking is in vain.
    pub async fn next(&mut self) -> Option<Result<Order, ClientError>> {
        loop {
            match &mut self.step {
                Step::Over => return None,
                Step::Waiting(until) => {
                    until.await;
                    self.step = Step::Ready;
                }
                Step::Ready => {
                    let (client, order_id) = (self.client.clone(), self.order_id.clone());
                    self.step = Step::Asking(Box::pin(async move { client.order(&order_id).await }));
                }
                Step::Asking(answer) => {
                    let heard = answer.await;
                    self.step = match self.pace.after(heard.as_ref()) {
                        Some(wait) => Step::Waiting(Box::pin(tokio::time::sleep(wait))),
                        None => Step::Over,
                    };
                    return Some(heard);
                }
            }
        }
    }
}

impl Pace {
    fn new(until_paid: Duration, until_done: Duration, longest: Duration) -> Self {
        Self { until_paid, until_done, longest, usual: until_paid, failures: 0 }
    }

    /// The wait before the next question; `None` if there is nothing more to hear.
    fn after(&mut self, heard: Result<&Order, &ClientError>) -> Option<Duration> {
        match heard {
            Ok(order) => {
                self.failures = 0;
                self.usual = if is_paid(order) { self.until_done } else { self.until_paid };
                (!is_over(order)).then_some(self.usual)
            }
            Err(error) if is_lasting(error) => None,
            Err(error) => {
                let doubled = self.usual * 2_u32.pow(self.failures.min(8));
                self.failures += 1;
                let asked = error.retry_after_s().map_or(Duration::ZERO, |seconds| Duration::from_secs(seconds.into()));
                Some(doubled.min(self.longest).max(asked.min(LONGEST_RETRY_AFTER)))
            }
        }
    }
}

/// Whether what is left is delivery.
fn is_paid(order: &Order) -> bool {
    let state = order.order_state;
    order.payment_state == PaymentState::PaymentReceived
        || matches!(
            state,
            OrderState::PaymentReceived | OrderState::WaitingForDelivery | OrderState::WaitingForManualAction
        )
}

/// Whether the contract's section 4.1 marks the state as an end.
fn is_over(order: &Order) -> bool {
    match order.order_state {
        OrderState::Done
        | OrderState::Expired
        | OrderState::Canceled
        | OrderState::PaymentFailed
        | OrderState::PaymentSetupFailed
        | OrderState::Refunded => true,
        OrderState::Created
        | OrderState::WaitingForPayment
        | OrderState::PaymentStarted
        | OrderState::PartialPaymentStarted
        | OrderState::PaymentReceived
        | OrderState::WaitingForDelivery
        | OrderState::WaitingForManualAction => false,
    }
}

/// Whether the same question would fail again: the id is unknown, or the call is wrong.
fn is_lasting(error: &ClientError) -> bool {
    match error {
        ClientError::Setup { .. } => true,
        ClientError::Refused { status, .. } | ClientError::Status { status, .. } => {
            (400..500).contains(status) && ![408, 425, 429].contains(status)
        }
        ClientError::Transport(_) | ClientError::Decode { .. } | ClientError::TooLarge => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Identity;
    use crate::testing::{Scripted, answer, order_text};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn order(state: &str) -> Order {
        serde_json::from_str(&order_text(state)).expect("an order")
    }

    #[test]
    fn each_wait_is_that_of_the_contract() {
        let mut pace = Pace::new(UNTIL_PAID, UNTIL_DONE, LONGEST_WAIT);
        let unpaid = order("WaitingForPayment");
        let paid = order("WaitingForDelivery");
        let away = ClientError::Status { status: 503, retry_after_s: None };
        let seconds = |wait: Option<Duration>| wait.map(|wait| wait.as_secs());
        assert_eq!(seconds(pace.after(Ok(&unpaid))), Some(5));
        let waits: Vec<_> = (0..6).map(|_| seconds(pace.after(Err(&away)))).collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60].map(Some));
        assert_eq!(seconds(pace.after(Ok(&unpaid))), Some(5), "an answer sets the wait back");
        assert_eq!(seconds(pace.after(Ok(&paid))), Some(30));
        let waits: Vec<_> = (0..3).map(|_| seconds(pace.after(Err(&away)))).collect();
        assert_eq!(waits, [30, 60, 60].map(Some));
        for (asked, waited) in [(1, 60), (61, 61), (90_000, 3_600)] {
            let busy = ClientError::Status { status: 429, retry_after_s: Some(asked) };
            assert_eq!(seconds(pace.after(Err(&busy))), Some(waited));
        }
    }

    #[test]
    fn every_end_is_an_end_and_so_is_an_error_that_stays() {
        let over = |state: &str| Pace::new(UNTIL_PAID, UNTIL_DONE, LONGEST_WAIT).after(Ok(&order(state)));
        for state in ["Done", "Expired", "Canceled", "PaymentFailed", "PaymentSetupFailed", "Refunded"] {
            assert_eq!(over(state), None, "{state}");
        }
        for state in ["Created", "WaitingForPayment", "PaymentStarted", "PartialPaymentStarted", "PaymentReceived"] {
            assert!(over(state).is_some(), "{state}");
        }
        for (status, stays) in [(404, true), (400, true), (408, false), (425, false), (429, false), (500, false)] {
            let wait = Pace::new(UNTIL_PAID, UNTIL_DONE, LONGEST_WAIT)
                .after(Err(&ClientError::Status { status, retry_after_s: None }));
            assert_eq!(wait.is_none(), stays, "{status}");
        }
    }

    #[tokio::test]
    async fn an_order_is_asked_for_until_it_is_over() {
        let answers = vec![
            answer("200 OK", &order_text("WaitingForPayment")),
            answer("503 Service Unavailable", "{}"),
            answer("200 OK", &order_text("Done")),
            answer("200 OK", &order_text("Done")),
        ];
        let mut store = Scripted::start(answers).await;
        let client = Client::new(&store.base_url, Identity::default()).expect("a loopback address is a base URL");
        // The test does not wait; the waits have tests of their own above.
        let mut polling = client.poll_with("o-1", Pace::new(Duration::ZERO, Duration::ZERO, Duration::ZERO));
        assert_eq!(
            polling.next().await.map(|heard| heard.expect("an order").order_state),
            Some(OrderState::WaitingForPayment)
        );
        assert!(matches!(polling.next().await, Some(Err(ClientError::Status { status: 503, .. }))));
        assert_eq!(polling.next().await.map(|heard| heard.expect("an order").order_state), Some(OrderState::Done));
        assert!(polling.next().await.is_none());
        for _ in 0..3 {
            assert!(store.request().starts_with("GET /v5/orders/o-1 HTTP/1.1"));
        }
    }

    #[tokio::test]
    async fn a_caller_who_gives_up_on_one_call_loses_nothing() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        let base_url = format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
        let client = Client::new(&base_url, Identity::default()).expect("a loopback address is a base URL");
        let mut polling = client.poll("o-1");
        let mut socket = tokio::select! {
            _ = polling.next() => panic!("nothing was answered"),
            accepted = listener.accept() => accepted.expect("the question comes").0,
        };
        // Given up, and again: the question is still the same one.
        let asked = async {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                socket.read_buf(&mut request).await.expect("the question comes");
            }
        };
        tokio::select! {
            _ = polling.next() => panic!("nothing was answered"),
            () = asked => {}
        }
        let text = answer("200 OK", &order_text("Done"));
        let answered = async { socket.write_all(text.as_bytes()).await.expect("the question waits") };
        let (heard, ()) = tokio::join!(polling.next(), answered);
        assert_eq!(heard.map(|heard| heard.expect("an order").order_state), Some(OrderState::Done));
        let another = tokio::select! {
            biased;
            _ = listener.accept() => true,
            () = std::future::ready(()) => false,
        };
        assert!(!another, "it was asked twice");
    }

    #[tokio::test]
    async fn the_next_question_waits() {
        let answers = vec![answer("200 OK", &order_text("Created")), answer("200 OK", &order_text("Done"))];
        let store = Scripted::start(answers).await;
        let client = Client::new(&store.base_url, Identity::default()).expect("a loopback address is a base URL");
        let wait = Duration::from_millis(50);
        let mut polling = client.poll_with("o-1", Pace::new(wait, wait, wait));
        assert!(polling.next().await.is_some_and(|heard| heard.is_ok()));
        let answered = std::time::Instant::now();
        assert!(polling.next().await.is_some_and(|heard| heard.is_ok()));
        assert!(answered.elapsed() >= wait);
    }
}

//! `POST /sandbox/orders/{id}/pay`: pays an order on the simulated chain. Routed in the demo only.

use super::App;
use super::body::{Body, Segment};
use super::error::ApiError;
use crate::sandbox_desk::{self, PayError, Payment};
use crate::store::orders;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::ids::OrderId;
use serde_json::{Value, json};

/// Body: `{"factor": "0.5", "twice": true, "late": "20m", "reorg": 2, "wrong_token": true}`, each optional.
pub async fn pay(State(app): State<App>, Segment(id): Segment, body: Body) -> Result<Json<Value>, ApiError> {
    let sandbox = app.settings.sandbox.as_ref().ok_or_else(ApiError::not_found)?;
    let id = order_called(&app, &id).await?;
    let payment = read(&body.0)?;
    let paid = sandbox_desk::pay(&app.engine, sandbox.chain.as_ref(), id, &payment).await?;
    sandbox.bell.notify_one();
    Ok(Json(json!({ "transfers": paid.transfers, "units": paid.units.to_string() })))
}

/// An order by its id, or an exchange order by the `_id` of the exchange API.
async fn order_called(app: &App, name: &str) -> Result<OrderId, ApiError> {
    let Some(no) = app.vault.no_of(name) else { return OrderId::parse(name).map_err(|_| ApiError::not_found()) };
    let order = app.engine.db.read(move |tx| orders::by_no(tx, no)).await?;
    order.filter(|order| order.trade().is_some()).map(|order| order.id).ok_or_else(ApiError::not_found)
}

fn read(body: &[u8]) -> Result<Payment, ApiError> {
    if body.is_empty() {
        return Ok(Payment::default());
    }
    let value: Value = serde_json::from_slice(body).map_err(|_| ApiError::bad_request("the body is not JSON"))?;
    let fields = value.as_object().ok_or_else(|| ApiError::bad_request("the body must be a JSON object"))?;
    let mut payment = Payment::default();
    for (name, value) in fields {
        match (name.as_str(), value) {
            (_, Value::Null) => {}
            ("factor", Value::String(text)) => payment.factor_ppm = Some(sandbox_desk::factor_ppm(text)?),
            ("factor", Value::Number(number)) => {
                payment.factor_ppm = Some(sandbox_desk::factor_ppm(&number.to_string())?)
            }
            ("twice", Value::Bool(twice)) => payment.twice = *twice,
            ("late", Value::String(text)) => payment.late = Some(sandbox_desk::span(text)?),
            ("reorg", Value::Number(depth)) => {
                let depth = depth.as_u64().and_then(|depth| u32::try_from(depth).ok()).filter(|depth| *depth >= 1);
                payment.reorg =
                    Some(depth.ok_or_else(|| ApiError::bad_request("reorg is a number of blocks, 1 or more"))?);
            }
            ("wrong_token", Value::Bool(wrong)) => payment.wrong_token = *wrong,
            (name, _) => {
                let known = "factor (decimal), twice (bool), late (\"20m\"), reorg (blocks), wrong_token (bool)";
                return Err(ApiError::bad_request(format!("{name:?} is not understood; known are {known}")));
            }
        }
    }
    Ok(payment)
}

impl From<PayError> for ApiError {
    fn from(error: PayError) -> ApiError {
        match error {
            PayError::UnknownOrder => ApiError::not_found(),
            PayError::Wrong(message) => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "NOT_PAID", message),
            PayError::Engine(error) => error.into(),
            PayError::Database(error) => error.into(),
        }
    }
}

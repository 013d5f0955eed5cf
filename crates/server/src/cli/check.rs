//! `kiosk fsck`.

use super::Installation;
use crate::boot::gone;
use crate::store::fsck;
use std::process::ExitCode;

/// Prints what was looked at and every finding; exit code 1 if there is one.
pub async fn fsck(installation: &Installation) -> anyhow::Result<ExitCode> {
    let kiosk = installation.open().await?;
    let findings = kiosk.engine.db.read(fsck::check).await?;
    println!(
        "{} orders, {} events, {} ledger transfers, {} sold codes",
        findings.orders, findings.events, findings.transfers, findings.codes
    );
    for sentence in &findings.wrong {
        println!("WRONG: {sentence}");
    }
    // Nothing in the database is wrong with that.
    for gone in gone::networks_gone(&kiosk).await? {
        println!("NOTE: {}", gone::advice(&gone));
    }
    if findings.wrong.is_empty() {
        println!("everything holds together");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

//! What lies at addresses: `balanceOf` of ERC-20 after one block, which every node that must agree has to know by its hash
//! (EIP-1898). For the audit. Must never hold a failure against a node: it may well know what is new and not what was.

use super::amount::Amount;
use super::council::Fault;
use super::{Address, EvmNetwork};
use crate::ports::BalanceQuestion;
use domain::time::Time;

impl EvmNetwork {
    /// `None` for an asset that is no token of this network.
    pub(super) async fn balances_after(
        &self,
        question: &BalanceQuestion,
        now: Time,
    ) -> Result<Option<Vec<i128>>, Fault> {
        let token = self.tokens.iter().find(|(_, token)| token.asset == question.asset);
        let Some((contract, _)) = token else { return Ok(None) };
        let holders = question.addresses.iter().map(|text| Address::parse(text)).collect::<Result<Vec<_>, _>>();
        let holders = holders.map_err(|error| Fault::Book(format!("the pool holds what is no address: {error}")))?;
        let council = self.council(question.height, now).await?;
        let mut agreed: Option<Vec<Amount>> = None;
        for seat in &council.seats {
            let shown = seat.node.balances_of(contract, &holders, &question.block_hash).await;
            let shown = shown.map_err(|error| seat.fault(error))?;
            match &agreed {
                None => agreed = Some(shown),
                Some(first) if *first == shown => {}
                Some(_) => return Err(council.differ(seat.node, question.height)),
            }
        }
        let amounts = agreed.unwrap_or_default().iter().map(Amount::as_i128).collect::<Option<Vec<i128>>>();
        amounts.map(Some).ok_or_else(|| Fault::Book("a balance is more than any token has".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ANN, BOB, DAI, FakeChain, Node, STRANGER, USDC, Watcher};
    use super::*;
    use crate::ports::Network;
    use domain::ids::AssetId;
    use std::sync::{Arc, Mutex};

    fn question(contract: &str, height: i64, block_hash: String) -> BalanceQuestion {
        let asset = AssetId::new(format!("eip155:8453/erc20:{contract}"));
        BalanceQuestion { asset, addresses: vec![ANN.to_owned(), BOB.to_owned()], height, block_hash }
    }

    /// Blocks 0 to 5: payments in 2, 3 and 5.
    fn chain() -> FakeChain {
        let mut chain = FakeChain::default();
        chain.mine_empty(2);
        chain.mine(&[(USDC, ANN, 25, 1), (USDC, STRANGER, 99, 2), (DAI, BOB, 7, 3)]);
        chain.mine(&[(USDC, ANN, 5, 4), (USDC, BOB, 8, 5)]);
        chain.mine_empty(1);
        chain.mine(&[(USDC, ANN, 1_000, 6)]);
        chain
    }

    #[tokio::test]
    async fn balances_are_those_after_the_block_that_was_named() {
        let chain = chain();
        let (hash, now) = (|height: i64| chain.hash(height), chain.now());
        let hashes = [hash(2), hash(3), hash(5)];
        let chain = Arc::new(Mutex::new(chain));
        let node = Node::over_http(&chain).await;
        let network = Watcher::new(&[&node], 1).network;
        let [second, third, fifth] = hashes;
        for (contract, height, block, expected) in [
            (USDC, 2, &second, vec![25, 0]),
            (USDC, 3, &third, vec![30, 8]),
            (USDC, 5, &fifth, vec![1_030, 8]),
            (DAI, 5, &fifth, vec![0, 7]),
        ] {
            let asked = question(contract, height, block.clone());
            assert_eq!(network.balances(&asked, now).await, Ok(Some(expected)), "{contract} at {height}");
        }
        let elsewhere = question(STRANGER, 5, fifth);
        assert_eq!(network.balances(&elsewhere, now).await, Ok(None), "no token of this network");
        let gone = network.balances(&question(USDC, 3, format!("0x{:064x}", 7)), now).await;
        assert!(gone.expect_err("no such block").contains("unknown block"));
    }

    #[tokio::test]
    async fn nodes_that_differ_are_both_disbelieved() {
        let chain = chain();
        let (hash, now) = (chain.hash(5), chain.now());
        let chain = Arc::new(Mutex::new(chain));
        let (one, other) = (Node::over_http(&chain).await, Node::over_http(&chain).await);
        let network = Watcher::new(&[&one, &other], 2).network;
        let asked = question(USDC, 5, hash);
        assert_eq!(network.balances(&asked, now).await, Ok(Some(vec![1_030, 8])));
        other.lie(|lies| lies.invents = Some((3, (USDC, ANN, 1, 9))));
        let fault = network.balances(&asked, now).await.expect_err("one of them lies");
        assert!(fault.contains("do not agree about block 5"), "{fault}");
    }
}

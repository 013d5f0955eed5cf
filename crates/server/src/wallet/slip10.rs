//! SLIP-0010: the tree of ed25519 keys below a seed. Every child is hardened: nothing follows from a public key.
//!
//! Must never print or keep a key; what it holds is overwritten when it is dropped, as far as ring and the compiler leave
//! no copies. Called by `cold` alone.

use crate::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::Sha512;
use zeroize::Zeroizing;

/// The key of the root's HMAC (SLIP-0010, "Master key generation").
const CURVE: &[u8] = b"ed25519 seed";
/// The bit of a hardened index.
const HARDENED: u32 = 1 << 31;

/// One key of the tree: 32 bytes of private key, then 32 of chain code.
#[derive(Debug)]
pub struct Node(Secret<Zeroizing<[u8; 64]>>);

impl Node {
    /// The root of a seed's tree.
    pub fn root(seed: &[u8]) -> Node {
        Node::of(CURVE, &[seed])
    }

    /// The child `index'`; the mark of a hardened index is added here.
    pub fn child(&self, index: u32) -> Node {
        let (key, chain_code) = self.halves();
        Node::of(chain_code, &[&[0], key, &(index | HARDENED).to_be_bytes()])
    }

    /// The address: the public key itself.
    pub fn public_key(&self) -> [u8; 32] {
        let pair = Ed25519KeyPair::from_seed_unchecked(self.halves().0).expect("any 32 bytes are a seed");
        pair.public_key().as_ref().try_into().expect("a public key of ed25519 has 32 bytes")
    }

    fn of(key: &[u8], parts: &[&[u8]]) -> Node {
        let mut mac = <Hmac<Sha512> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
        for part in parts {
            mac.update(part);
        }
        Node(Secret::new(Zeroizing::new(mac.finalize().into_bytes().into())))
    }

    fn halves(&self) -> (&[u8], &[u8]) {
        self.0.expose().split_at(32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{from_hex, to_hex};

    /// Below a root, each child in turn: its index, private key, chain code and public key.
    type Row = (u32, &'static str, &'static str, &'static str);

    fn check(root: Node, rows: &[Row]) {
        let mut node = root;
        for (at, (index, key, chain_code, public_key)) in rows.iter().enumerate() {
            if at > 0 {
                node = node.child(*index);
            }
            let (own_key, own_code) = node.halves();
            assert_eq!((to_hex(own_key), to_hex(own_code)), ((*key).to_owned(), (*chain_code).to_owned()), "{at}");
            assert_eq!(to_hex(&node.public_key()), *public_key, "{at}");
        }
    }

    #[test]
    fn keys_are_those_of_test_vector_1_for_ed25519() {
        // SLIP-0010, m/0'/1'/2'/2'/1000000000'. The SLIP writes a zero byte before each public key.
        let seed: [u8; 16] = from_hex("000102030405060708090a0b0c0d0e0f").expect("hex");
        check(
            Node::root(&seed),
            &[
                (
                    0,
                    "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7",
                    "90046a93de5380a72b5e45010748567d5ea02bbf6522f979e05c0d8d8ca9fffb",
                    "a4b2856bfec510abab89753fac1ac0e1112364e7d250545963f135f2a33188ed",
                ),
                (
                    0,
                    "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
                    "8b59aa11380b624e81507a27fedda59fea6d0b779a778918a2fd3590e16e9c69",
                    "8c8a13df77a28f3445213a0f432fde644acaa215fc72dcdf300d5efaa85d350c",
                ),
                (
                    1,
                    "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2",
                    "a320425f77d1b5c2505a6b1b27382b37368ee640e3557c315416801243552f14",
                    "1932a5270f335bed617d5b935c80aedb1a35bd9fc1e31acafd5372c30f5c1187",
                ),
                (
                    2,
                    "92a5b23c0b8a99e37d07df3fb9966917f5d06e02ddbd909c7e184371463e9fc9",
                    "2e69929e00b5ab250f49c3fb1c12f252de4fed2c1db88387094a0f8c4c9ccd6c",
                    "ae98736566d30ed0e9d2f4486a64bc95740d89c7db33f52121f8ea8f76ff0fc1",
                ),
                (
                    2,
                    "30d1dc7e5fc04c31219ab25a27ae00b50f6fd66622f6e9c913253d6511d1e662",
                    "8f6d87f93d750e0efccda017d662a1b31a266e4a6f5993b15f5c1f07f74dd5cc",
                    "8abae2d66361c879b900d204ad2cc4984fa2aa344dd7ddc46007329ac76c429c",
                ),
                (
                    1_000_000_000,
                    "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
                    "68789923a0cac2cd5a29172a475fe9e0fb14cd6adb5ad98a3fa70333e7afa230",
                    "3c24da049451555d51a7014a37337aa4e12d41e485abccfa46b47dfb2af54b7a",
                ),
            ],
        );
    }

    #[test]
    fn keys_are_those_of_test_vector_2_for_ed25519() {
        // SLIP-0010, m/0'/2147483647': the largest index.
        let seed: [u8; 64] = from_hex(
            "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a2\
             9f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542",
        )
        .expect("hex");
        check(
            Node::root(&seed),
            &[
                (
                    0,
                    "171cb88b1b3c1db25add599712e36245d75bc65a1a5c9e18d76f9f2b1eab4012",
                    "ef70a74db9c3a5af931b5fe73ed8e1a53464133654fd55e7a66f8570b8e33c3b",
                    "8fe9693f8fa62a4305a140b9764c5ee01e455963744fe18204b4fb948249308a",
                ),
                (
                    0,
                    "1559eb2bbec5790b0c65d8693e4d0875b1747f4970ae8b650486ed7470845635",
                    "0b78a3226f915c082bf118f83618a618ab6dec793752624cbeb622acb562862d",
                    "86fab68dcb57aa196c77c5f264f215a112c22a912c10d123b0d03c3c28ef1037",
                ),
                (
                    2_147_483_647,
                    "ea4f5bfe8694d8bb74b7b59404632fd5968b774ed545e810de9c32a4fb4192f4",
                    "138f0b2551bcafeca6ff2aa88ba8ed0ed8de070841f0c4ef0165df8181eaad7f",
                    "5ba3b9ac6e90e83effcd25ac4e58a1365a9e35a3d3ae5eb07b9e4d90bcf7506d",
                ),
            ],
        );
    }

    #[test]
    fn a_key_does_not_print() {
        assert_eq!(format!("{:?}", Node::root(&[1; 16])), "Node([secret])");
    }
}

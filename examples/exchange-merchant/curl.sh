#!/usr/bin/env bash
# Takes one payment with curl: 100 USDC on Solana, received as USDT on Ethereum. Plays the payer too, on the sandbox.
#   KIOSK_URL=http://127.0.0.1:8080 ./curl.sh
set -euo pipefail

url=${KIOSK_URL:-http://127.0.0.1:8080}
url=${url%/}
api=$url/service/api/v1/public/exchanger
wallet=${PAYOUT_ADDRESS:-0x52908400098527886E0F7030069857D2E4169EE7}

# Prints a member of an answer's data. An error ends the script with the server's words; it too comes with status 200.
member() {
  node -p '
    const answer = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    if (!answer.success) {
      console.error(answer.error.errorCode + ": " + answer.error.message);
      process.exit(1);
    }
    process.argv[1].split(".").reduce((value, name) => value[name], answer.data)' "$1"
}

# 1. The route, with its rate and its fields.
route=$(curl -fsS -m 15 -G "$api/route/get/one/by-xml" -d xmlIn=USDCSOL -d xmlOut=USDTERC20)
route_id=$(member route.routeId <<< "$route")
echo "one USDT costs $(member route.rate.rateFullNumber <<< "$route") USDC"

# 2. The order. If the answer is lost, ask again: an order that nobody pays ends by itself.
order=$(curl -fsS -m 15 "$api/order/create" \
  --data-urlencode "routeId=$route_id" \
  --data-urlencode 'amount=100' \
  --data-urlencode 'toValues[0][key]=walletAddress' \
  --data-urlencode "toValues[0][value]=$wallet" \
  --data-urlencode 'agreement=true')
id=$(member _id <<< "$order")
uid=$(member uid <<< "$order")
secret=$(member secret <<< "$order")
echo "order $uid: give $(member inAmount <<< "$order") USDC, receive $(member outAmount <<< "$order") USDT"

# 3. The payer wants to pay, and is shown where.
last=$(curl -fsS -m 15 "$api/order/update-status" -d "orderUID=$uid" -d "orderSecret=$secret" -d status=waitPayment |
  member status)
echo "$last"
read_order() { curl -fsS -m 15 -G "$api/order/get" -d "orderUID=$uid" -d "orderSecret=$secret"; }
qr_text=$(read_order | member order.route.from.paymentDetails.payment.qr_text)
echo "QR code: $qr_text"

# 4. The sandbox pays. With real money this is what the payer does.
curl -fsS -m 15 -X POST "$url/sandbox/orders/$id/pay" > /dev/null

# 5. The order, until it is paid out; for about a minute.
for _ in $(seq 100); do
  status=$(read_order | member order.status)
  if [ "$status" != "$last" ]; then
    echo "$status"
    last=$status
  fi
  case $status in
    done) exit 0 ;;
    deleted | returned) exit 1 ;;
  esac
  sleep 0.5
done
echo "order $uid is still $last" >&2
exit 1

//! What the mails say: one table of sentences for each language, put together as plain text.
//!
//! Pure: data in, subject and text out. A code must never reach a subject, and only `delivery_with_code` has one
//! that is worth money: mail is read by more eyes than its addressee's. Mails about accounts have codes of their own. Called by the worker that sends mail.

pub mod account;

use crate::secret::Secret;

/// An order whose payment is complete; goes to the buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// The short public number of the order.
    pub order_no: String,
    /// One entry for each line, such as `Airbnb 100 USD`.
    pub lines: Vec<String>,
    /// What was to be paid, with its coin, such as `101.50 USDC`.
    pub total: String,
    /// Where the buyer follows the order.
    pub status_url: String,
}

/// Goods that are ready, to be opened by a link; goes to the recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The short public number of the order.
    pub order_no: String,
    /// What was bought, such as `Airbnb 100 USD`.
    pub title: String,
    /// The secret link that opens this line alone.
    pub link: String,
}

/// Goods with the code in the mail itself. Only for operators whose settings ask for it.
#[derive(Clone, Debug)]
pub struct DeliveryWithCode {
    /// The short public number of the order.
    pub order_no: String,
    /// What was bought, such as `Airbnb 100 USD`.
    pub title: String,
    /// The code.
    pub code: Secret<String>,
    /// Serial number of the card, if it has one.
    pub serial: Option<Secret<String>>,
    /// Second code of the card, if it has one.
    pub security: Option<Secret<String>>,
    /// How to redeem it, as plain text in the recipient's language; may be empty.
    pub instructions_text: String,
}

/// Subject and text of the mail that confirms a payment. `language` is a tag such as `pt-BR`; English stands in
/// for languages without a table.
pub fn confirmation(language: &str, order: &Confirmation) -> (String, String) {
    let words = words_of(language);
    let values = [("{no}", order.order_no.as_str()), ("{total}", order.total.as_str())];
    let mut text = Paragraphs::new();
    text.add(&fill(words.paid, &values));
    let lines: Vec<String> = order.lines.iter().map(|line| format!("- {line}")).collect();
    text.add(&format!("{}\n{}\n{}", words.ordered, lines.join("\n"), fill(words.total, &values)));
    text.add(&format!("{}\n{}", words.follow, order.status_url));
    (one_line(&fill(words.paid_subject, &values)), text.done())
}

/// Subject and text of the mail that brings the link to the goods. Languages as for [`confirmation`].
pub fn delivery(language: &str, goods: &Delivery) -> (String, String) {
    let words = words_of(language);
    let values = [("{no}", goods.order_no.as_str()), ("{title}", goods.title.as_str())];
    let mut text = Paragraphs::new();
    text.add(&fill(words.ready, &values));
    text.add(&format!("{}\n{}", words.open, goods.link));
    text.add(words.keep_link);
    (one_line(&fill(words.ready_subject, &values)), text.done())
}

/// Subject and text of the mail that brings the code itself; the subject never holds it. Languages as for
/// [`confirmation`]. The text is a secret: hand it to the sender, never to a log or a folder.
pub fn delivery_with_code(language: &str, goods: &DeliveryWithCode) -> (String, String) {
    let words = words_of(language);
    let values = [("{no}", goods.order_no.as_str()), ("{title}", goods.title.as_str())];
    let labelled = [
        (words.code, Some(&goods.code)),
        (words.serial, goods.serial.as_ref()),
        (words.security, goods.security.as_ref()),
    ];
    let codes: Vec<String> = labelled
        .into_iter()
        .filter_map(|(label, value)| value.map(|value| format!("{label} {}", value.expose())))
        .collect();
    let mut text = Paragraphs::new();
    text.add(&fill(words.ready, &values));
    text.add(&codes.join("\n"));
    if !goods.instructions_text.trim().is_empty() {
        text.add(&format!("{}\n{}", words.how_to_use, goods.instructions_text.trim()));
    }
    text.add(words.keep_code);
    (one_line(&fill(words.ready_subject, &values)), text.done())
}

/// HTML of the catalogue as plain text: each block on lines of its own, tags left out, the common entities written out.
pub fn plain(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(begin) = rest.find('<') {
        text.push_str(&rest[..begin]);
        let Some(end) = rest[begin..].find('>') else {
            rest = "";
            break;
        };
        let name = rest[begin + 1..begin + end].trim_start_matches('/').to_ascii_lowercase();
        if ["p", "li", "ol", "ul", "br", "div", "h"].iter().any(|block| name.starts_with(block)) {
            text.push('\n');
        }
        rest = &rest[begin + end + 1..];
    }
    text.push_str(rest);
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")];
    let text = entities.into_iter().fold(text, |text, (entity, letter)| text.replace(entity, letter));
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

/// The sentences of one language. `{no}`, `{total}` and `{title}` stand for the order's number, its total and
/// what was bought.
struct Words {
    paid_subject: &'static str,
    paid: &'static str,
    ordered: &'static str,
    total: &'static str,
    follow: &'static str,
    ready_subject: &'static str,
    ready: &'static str,
    open: &'static str,
    keep_link: &'static str,
    code: &'static str,
    serial: &'static str,
    security: &'static str,
    how_to_use: &'static str,
    keep_code: &'static str,
}

/// Language codes of ISO 639-1 and their sentences, English first: it stands in for all others.
static LANGUAGES: [(&str, Words); 11] = [
    ("en", ENGLISH),
    ("es", SPANISH),
    ("fr", FRENCH),
    ("de", GERMAN),
    ("it", ITALIAN),
    ("pt", PORTUGUESE),
    ("zh", CHINESE),
    ("tr", TURKISH),
    ("vi", VIETNAMESE),
    ("tl", TAGALOG),
    ("ja", JAPANESE),
];

const ENGLISH: Words = Words {
    paid_subject: "Payment received for order {no}",
    paid: "Thank you. We have received your payment for order {no}.",
    ordered: "Your order:",
    total: "Total: {total}",
    follow: "Follow your order here:",
    ready_subject: "{title} is ready (order {no})",
    ready: "Good news: {title} from order {no} is ready for you.",
    open: "Open it here:",
    keep_link: "Keep this link to yourself: anyone who has it can use what it opens.",
    code: "Code:",
    serial: "Serial number:",
    security: "Security code:",
    how_to_use: "How to use it:",
    keep_code: "Treat the code like cash: anyone who knows it can spend it.",
};

const SPANISH: Words = Words {
    paid_subject: "Hemos recibido el pago del pedido {no}",
    paid: "Gracias. Hemos recibido tu pago del pedido {no}.",
    ordered: "Tu pedido:",
    total: "Total: {total}",
    follow: "Sigue tu pedido aquí:",
    ready_subject: "{title} ya está disponible (pedido {no})",
    ready: "Buenas noticias: {title}, del pedido {no}, ya está disponible.",
    open: "Ábrelo aquí:",
    keep_link: "No compartas este enlace: quien lo tenga podrá usar su contenido.",
    code: "Código:",
    serial: "Número de serie:",
    security: "Código de seguridad:",
    how_to_use: "Cómo usarlo:",
    keep_code: "Trata el código como dinero en efectivo: cualquiera que lo conozca puede gastarlo.",
};

const FRENCH: Words = Words {
    paid_subject: "Paiement reçu pour la commande {no}",
    paid: "Merci. Nous avons bien reçu votre paiement pour la commande {no}.",
    ordered: "Votre commande :",
    total: "Total : {total}",
    follow: "Suivez votre commande ici :",
    ready_subject: "{title} : disponible (commande {no})",
    ready: "Bonne nouvelle : {title}, de la commande {no}, est disponible.",
    open: "Pour y accéder, ouvrez ce lien :",
    keep_link: "Gardez ce lien pour vous : toute personne qui le possède peut utiliser son contenu.",
    code: "Code :",
    serial: "Numéro de série :",
    security: "Code de sécurité :",
    how_to_use: "Mode d'emploi :",
    keep_code: "Traitez ce code comme de l'argent liquide : toute personne qui le connaît peut le dépenser.",
};

const GERMAN: Words = Words {
    paid_subject: "Zahlung für Bestellung {no} eingegangen",
    paid: "Vielen Dank. Ihre Zahlung für die Bestellung {no} ist bei uns eingegangen.",
    ordered: "Ihre Bestellung:",
    total: "Gesamtbetrag: {total}",
    follow: "Hier können Sie Ihre Bestellung verfolgen:",
    ready_subject: "{title} steht bereit (Bestellung {no})",
    ready: "Gute Nachricht: {title} aus der Bestellung {no} steht für Sie bereit.",
    open: "Hier öffnen:",
    keep_link: "Geben Sie diesen Link nicht weiter: Wer ihn hat, kann den Inhalt verwenden.",
    code: "Code:",
    serial: "Seriennummer:",
    security: "Sicherheitscode:",
    how_to_use: "So lösen Sie ihn ein:",
    keep_code: "Behandeln Sie den Code wie Bargeld: Wer ihn kennt, kann ihn einlösen.",
};

const ITALIAN: Words = Words {
    paid_subject: "Pagamento ricevuto per l'ordine {no}",
    paid: "Grazie. Abbiamo ricevuto il tuo pagamento per l'ordine {no}.",
    ordered: "Il tuo ordine:",
    total: "Totale: {total}",
    follow: "Segui il tuo ordine qui:",
    ready_subject: "{title} è disponibile (ordine {no})",
    ready: "Buone notizie: {title}, dell'ordine {no}, è disponibile.",
    open: "Per accedere, apri questo link:",
    keep_link: "Non condividere questo link: chi lo possiede può usarne il contenuto.",
    code: "Codice:",
    serial: "Numero di serie:",
    security: "Codice di sicurezza:",
    how_to_use: "Come usarlo:",
    keep_code: "Tratta il codice come denaro contante: chiunque lo conosca può spenderlo.",
};

const PORTUGUESE: Words = Words {
    paid_subject: "Recebemos o pagamento do pedido {no}",
    paid: "Agradecemos a sua compra. Recebemos o pagamento do pedido {no}.",
    ordered: "O seu pedido:",
    total: "Total: {total}",
    follow: "Acompanhe o seu pedido aqui:",
    ready_subject: "{title} já está disponível (pedido {no})",
    ready: "Boas notícias: {title}, do pedido {no}, já está disponível.",
    open: "Para acessar, abra este link:",
    keep_link: "Não compartilhe este link: quem o tiver poderá usar o conteúdo.",
    code: "Código:",
    serial: "Número de série:",
    security: "Código de segurança:",
    how_to_use: "Como usar:",
    keep_code: "Trate o código como dinheiro vivo: qualquer pessoa que o conheça pode gastá-lo.",
};

const CHINESE: Words = Words {
    paid_subject: "订单 {no} 已收到付款",
    paid: "感谢您的购买。我们已收到订单 {no} 的付款。",
    ordered: "您的订单：",
    total: "合计：{total}",
    follow: "请在此查看订单进度：",
    ready_subject: "{title} 已准备就绪（订单 {no}）",
    ready: "好消息：订单 {no} 中的 {title} 已准备就绪。",
    open: "请打开此链接查看：",
    keep_link: "请勿与他人分享此链接：任何持有链接的人都可以使用其中的内容。",
    code: "兑换码：",
    serial: "序列号：",
    security: "安全码：",
    how_to_use: "使用方法：",
    keep_code: "请像保管现金一样保管兑换码：任何知道它的人都可以使用。",
};

const TURKISH: Words = Words {
    paid_subject: "{no} numaralı siparişin ödemesi alındı",
    paid: "Teşekkür ederiz. {no} numaralı siparişinizin ödemesini aldık.",
    ordered: "Siparişiniz:",
    total: "Toplam: {total}",
    follow: "Siparişinizi buradan takip edebilirsiniz:",
    ready_subject: "{title} hazır (sipariş {no})",
    ready: "İyi haber: {no} numaralı siparişteki {title} kullanıma hazır.",
    open: "Görüntülemek için bu bağlantıyı açın:",
    keep_link: "Bu bağlantıyı kimseyle paylaşmayın: bağlantıya sahip olan herkes içeriğini kullanabilir.",
    code: "Kod:",
    serial: "Seri numarası:",
    security: "Güvenlik kodu:",
    how_to_use: "Nasıl kullanılır:",
    keep_code: "Kodu nakit para gibi saklayın: kodu bilen herkes onu harcayabilir.",
};

const VIETNAMESE: Words = Words {
    paid_subject: "Đã nhận thanh toán cho đơn hàng {no}",
    paid: "Cảm ơn bạn. Chúng tôi đã nhận được thanh toán cho đơn hàng {no}.",
    ordered: "Đơn hàng của bạn:",
    total: "Tổng cộng: {total}",
    follow: "Theo dõi đơn hàng tại đây:",
    ready_subject: "{title} đã sẵn sàng (đơn hàng {no})",
    ready: "Tin vui: {title} trong đơn hàng {no} đã sẵn sàng để sử dụng.",
    open: "Mở tại đây:",
    keep_link: "Đừng chia sẻ liên kết này: bất kỳ ai có liên kết đều có thể sử dụng nội dung trong đó.",
    code: "Mã:",
    serial: "Số sê-ri:",
    security: "Mã bảo mật:",
    how_to_use: "Cách sử dụng:",
    keep_code: "Hãy giữ mã này như tiền mặt: bất kỳ ai biết mã đều có thể sử dụng.",
};

const TAGALOG: Words = Words {
    paid_subject: "Natanggap na ang bayad para sa order {no}",
    paid: "Salamat. Natanggap na namin ang bayad mo para sa order {no}.",
    ordered: "Ang order mo:",
    total: "Kabuuan: {total}",
    follow: "Subaybayan ang order mo rito:",
    ready_subject: "Handa na ang {title} (order {no})",
    ready: "Magandang balita: handa na ang {title} mula sa order {no}.",
    open: "Buksan ito rito:",
    keep_link: "Huwag ibahagi ang link na ito: magagamit ng sinumang may hawak nito ang nilalaman nito.",
    code: "Code:",
    serial: "Serial number:",
    security: "Security code:",
    how_to_use: "Paano ito gamitin:",
    keep_code: "Ingatan ang code na parang pera: magagastos ito ng sinumang nakakaalam nito.",
};

const JAPANESE: Words = Words {
    paid_subject: "ご注文 {no} のお支払いを確認しました",
    paid: "ありがとうございます。ご注文 {no} のお支払いを確認しました。",
    ordered: "ご注文内容：",
    total: "合計：{total}",
    follow: "ご注文の状況はこちらでご確認いただけます：",
    ready_subject: "{title} のご用意ができました（ご注文 {no}）",
    ready: "お待たせしました。ご注文 {no} の {title} のご用意ができました。",
    open: "こちらからご覧ください：",
    keep_link: "このリンクは他の人に教えないでください。リンクを知っている人は誰でも内容を利用できます。",
    code: "コード：",
    serial: "シリアル番号：",
    security: "セキュリティコード：",
    how_to_use: "ご利用方法：",
    keep_code: "コードは現金と同じように大切に保管してください。コードを知っている人は誰でも使うことができます。",
};

/// The table for a tag such as `zh`, `pt-BR` or `ZH_hans`; `fil` is the other code for Tagalog.
fn words_of(language: &str) -> &'static Words {
    let primary = language.split(['-', '_']).next().unwrap_or(language).to_ascii_lowercase();
    let wanted = if primary == "fil" { "tl" } else { primary.as_str() };
    let [(_, english), ..] = &LANGUAGES;
    LANGUAGES.iter().find(|(code, _)| *code == wanted).map_or(english, |(_, words)| words)
}

/// Puts values in for their names, in one pass: a brand called `{no}` stays as it is.
fn fill(sentence: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some(start) = rest.find('{') {
        let (before, from_brace) = rest.split_at(start);
        filled.push_str(before);
        let known = values.iter().find_map(|(name, value)| from_brace.strip_prefix(*name).map(|after| (*value, after)));
        let (value, after) = known.unwrap_or_else(|| from_brace.split_at(1));
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// A subject is one line: titles come from a catalogue, and a line break would end the header.
fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Paragraphs with an empty line between them.
struct Paragraphs(Vec<String>);

impl Paragraphs {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn add(&mut self, paragraph: &str) {
        self.0.push(paragraph.to_owned());
    }

    fn done(self) -> String {
        let mut text = self.0.join("\n\n");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const CODES: [&str; 11] = ["en", "es", "fr", "de", "it", "pt", "zh", "tr", "vi", "tl", "ja"];

    fn paid_order() -> Confirmation {
        Confirmation {
            order_no: "100234".to_owned(),
            lines: vec!["Airbnb 100 USD".to_owned(), "Lycamobile 10 EUR".to_owned()],
            total: "112.40 USDC".to_owned(),
            status_url: "https://shop.example/o/abc".to_owned(),
        }
    }

    fn ready_goods() -> Delivery {
        Delivery {
            order_no: "100234".to_owned(),
            title: "Airbnb 100 USD".to_owned(),
            link: "https://shop.example/d/secret".to_owned(),
        }
    }

    fn goods_with_code() -> DeliveryWithCode {
        DeliveryWithCode {
            order_no: "100234".to_owned(),
            title: "Airbnb 100 USD".to_owned(),
            code: Secret::new("PIN-1234".to_owned()),
            serial: Some(Secret::new("SER-77".to_owned())),
            security: Some(Secret::new("SEC-88".to_owned())),
            instructions_text: "Go to the gift card page.\n".to_owned(),
        }
    }

    fn assert_all(text: &str, parts: &[&str], language: &str) {
        for part in parts {
            assert!(text.contains(part), "{language}: {part:?} is missing in {text}");
        }
        assert!(!text.contains(['{', '}']), "{language}: a place was not filled in {text}");
    }

    #[test]
    fn every_language_confirms_with_number_lines_total_and_link() {
        for language in CODES {
            let (subject, text) = confirmation(language, &paid_order());
            assert_all(&subject, &["100234"], language);
            let parts = [
                "100234",
                "\n- Airbnb 100 USD\n- Lycamobile 10 EUR\n",
                "112.40 USDC",
                "\nhttps://shop.example/o/abc\n",
            ];
            assert_all(&text, &parts, language);
        }
    }

    #[test]
    fn every_language_delivers_with_number_title_and_link() {
        for language in CODES {
            let (subject, text) = delivery(language, &ready_goods());
            assert_all(&subject, &["100234", "Airbnb 100 USD"], language);
            assert!(!subject.contains("secret"), "{language}: the link is not for the subject");
            assert_all(&text, &["100234", "Airbnb 100 USD", "\nhttps://shop.example/d/secret\n"], language);
        }
    }

    #[test]
    fn every_language_names_the_codes_in_the_text_and_never_in_the_subject() {
        for language in CODES {
            let (subject, text) = delivery_with_code(language, &goods_with_code());
            assert_all(&subject, &["100234", "Airbnb 100 USD"], language);
            for code in ["PIN-1234", "SER-77", "SEC-88"] {
                assert!(!subject.contains(code), "{language}");
                assert_all(&text, &[&format!(" {code}\n")], language);
            }
            assert_all(&text, &["100234", "\nGo to the gift card page.\n\n"], language);
        }
    }

    #[test]
    fn a_card_with_one_code_and_no_instructions_has_no_empty_labels() {
        let plain =
            DeliveryWithCode { serial: None, security: None, instructions_text: " \n".to_owned(), ..goods_with_code() };
        let (_, text) = delivery_with_code("en", &plain);
        assert_eq!(
            text,
            "Good news: Airbnb 100 USD from order 100234 is ready for you.\n\nCode: PIN-1234\n\n\
             Treat the code like cash: anyone who knows it can spend it.\n"
        );
        assert!(!format!("{plain:?}").contains("PIN-1234"));
    }

    #[test]
    fn instructions_lose_their_markup_and_keep_their_lines() {
        let html = "<ol><li>Go to <a href=\"https://shop.example\">the&nbsp;page</a>.</li><li>Type &amp;\n send &lt;it&gt;</li></ol>";
        assert_eq!(plain(html), "Go to the page.\nType &\nsend <it>");
        assert_eq!(plain("no markup"), "no markup");
        assert_eq!(plain("cut <off"), "cut");
        assert_eq!(plain(""), "");
    }

    #[test]
    fn each_language_has_sentences_of_its_own() {
        let distinct = |text_in: &dyn Fn(&str) -> String| {
            let texts: BTreeSet<String> = CODES.into_iter().map(text_in).collect();
            texts.len()
        };
        assert_eq!(distinct(&|language| confirmation(language, &paid_order()).1), 11);
        assert_eq!(distinct(&|language| delivery(language, &ready_goods()).1), 11);
        assert_eq!(distinct(&|language| delivery_with_code(language, &goods_with_code()).1), 11);
    }

    #[test]
    fn tags_choose_by_their_first_part_and_english_stands_in() {
        let subject = |language: &str| delivery(language, &ready_goods()).0;
        for (tag, same_as) in
            [("pt-BR", "pt"), ("ZH_Hans", "zh"), ("fil", "tl"), ("fil-PH", "tl"), ("ko", "en"), ("", "en"), ("e", "en")]
        {
            assert_eq!(subject(tag), subject(same_as), "{tag}");
        }
        assert_eq!(subject("en"), "Airbnb 100 USD is ready (order 100234)");
    }

    #[test]
    fn a_title_can_neither_break_the_subject_nor_be_filled_in_again() {
        let odd = Delivery { title: "A\r\nBcc: x {no} {".to_owned(), ..ready_goods() };
        let (subject, _) = delivery("en", &odd);
        assert_eq!(subject, "A  Bcc: x {no} { is ready (order 100234)");
    }
}

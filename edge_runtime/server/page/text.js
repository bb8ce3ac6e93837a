/* The words of the page in Turkish and English, and numbers and times as each language writes them. */

const WORDS = {
  en: {
    skip: "Skip to the content",
    language: "Language",
    connecting: "Connecting…",
    live: "Live",
    not_live: "Not live since {time}. Connecting again…",
    starting: "Starting: no answer yet",
    device_lost: "The microphone is gone",
    hung: "No sound arrives",
    ended: "The recording has ended",
    uploads_only: "Uploads only",
    lock_title: "This page needs its token",
    lock_hint: "Open the address that the command has printed, scan its QR code again, or enter the token.",
    token: "Token",
    unlock: "Open",
    wrong_token: "This token is not the right one.",
    locked: "Locked",
    now: "Now",
    confidence: "{percent} confident",
    since: "since {time}, for {duration}",
    bars: "Probability of each genre in the last window",
    strip: "Mel spectrogram of the last seconds, with the colour of the genre beneath",
    strip_caption: "Mel bands of the last 30 seconds, and the genre",
    pause: "Pause",
    level: "Level",
    latency: "Latency",
    delay: "Delay",
    announcement: "Now: {genre}",
    unknown: "Unknown",
    silence: "Silence",
    dropped: "{count} windows dropped",
    device_lost_event: "Microphone lost",
    device_back_event: "Microphone back",
    overload_event: "Too busy: windows are dropped",
    recovered_event: "No longer too busy",
    file_refused_event: "A file was refused",
    answers: "Last answers",
    answers_hint: "Press an answer that was wrong, and name the right genre.",
    no_answers: "There is none yet.",
    wrong: "That was wrong: {answer}",
    history: "Today",
    hours: "Hours of today by genre; press one for its windows",
    hour: "{hour}: {genres}",
    no_hour: "nothing",
    no_history: "No history is kept. Start tmgc-listen with --history FILE.sqlite.",
    empty_history: "Nothing has been recorded in this time.",
    history_failed: "The history cannot be read: {reason}",
    shares: "Shares of the genres",
    day: "Today",
    week: "7 days",
    month: "30 days",
    close: "Close",
    loading: "Loading…",
    song: "Try a song",
    drop: "Drop a sound file here, or choose one",
    drop_note: "It is sent to this device only, and is not stored.",
    model: "Model",
    sending: "Sending: {percent}",
    classifying: "Classifying… {time}",
    song_done: "The whole song: {percent} confident, {duration}",
    most_probable: "Most probable: {genre}",
    song_lane: "Genres along the song: {genres}",
    song_failed: "No answer: {reason}",
    song_lost: "the connection was lost (at most 50 MB can be sent)",
    cancelled: "Cancelled",
    cancel: "Cancel",
    json: "Download the JSON",
    health: "State of the device",
    microphone: "Sound",
    well: "arrives",
    dropped_windows: "Dropped",
    delay_p99: "Delay p99",
    temperature: "Temperature",
    throttling: "Throttling",
    none: "none",
    clock: "Clock",
    synchronised: "synchronised",
    not_synchronised: "not synchronised",
    correction: "What was playing?",
    correction_what: "{when}, answer: {genre}",
    correction_note: "The pictures of this sound are kept with the time and the genre. No sound is stored.",
    correction_done: { one: "One picture is kept as {genre}.", other: "{count} pictures are kept as {genre}." },
    correction_too_old: "This answer is too old: its pictures are no longer in memory.",
    correction_failed: "Nothing was kept: {reason}",
    corrected: "corrected: {genre}",
  },
  tr: {
    skip: "İçeriğe geç",
    language: "Dil",
    connecting: "Bağlanıyor…",
    live: "Canlı",
    not_live: "Canlı değil (son bağlantı {time}). Yeniden bağlanıyor…",
    starting: "Başlıyor: henüz yanıt yok",
    device_lost: "Mikrofon bağlantısı kesildi",
    hung: "Ses gelmiyor",
    ended: "Kayıt sona erdi",
    uploads_only: "Yalnızca dosya yükleme",
    lock_title: "Bu sayfa için anahtar gerekli",
    lock_hint: "Komutun yazdığı adresi açın, QR kodunu yeniden okutun ya da anahtarı girin.",
    token: "Anahtar",
    unlock: "Aç",
    wrong_token: "Bu anahtar doğru değil.",
    locked: "Kilitli",
    now: "Şu an",
    confidence: "{percent} güven",
    since: "başlangıç {time}, süre {duration}",
    bars: "Son penceredeki türlerin olasılıkları",
    strip: "Son saniyelerin mel spektrogramı, altında türün rengi",
    strip_caption: "Son 30 saniyenin mel bantları ve türü",
    pause: "Duraklat",
    level: "Ses düzeyi",
    latency: "İşlem süresi",
    delay: "Gecikme",
    announcement: "Şu an: {genre}",
    unknown: "Bilinmiyor",
    silence: "Sessizlik",
    dropped: "{count} pencere atlandı",
    device_lost_event: "Mikrofon bağlantısı kesildi",
    device_back_event: "Mikrofon yeniden bağlandı",
    overload_event: "Cihaz yetişemiyor: pencereler atlanıyor",
    recovered_event: "Cihaz yeniden yetişiyor",
    file_refused_event: "Bir dosya reddedildi",
    answers: "Son yanıtlar",
    answers_hint: "Yanlış bir yanıta basın ve doğru türü seçin.",
    no_answers: "Henüz yanıt yok.",
    wrong: "Bu yanlıştı: {answer}",
    history: "Bugün",
    hours: "Bugünün saatleri, türlere göre; pencereleri görmek için bir saate basın",
    hour: "{hour}: {genres}",
    no_hour: "kayıt yok",
    no_history: "Geçmiş tutulmuyor. tmgc-listen komutunu --history DOSYA.sqlite ile başlatın.",
    empty_history: "Bu sürede hiçbir şey kaydedilmedi.",
    history_failed: "Geçmiş okunamıyor: {reason}",
    shares: "Türlerin payları",
    day: "Bugün",
    week: "7 gün",
    month: "30 gün",
    close: "Kapat",
    loading: "Yükleniyor…",
    song: "Bir şarkı deneyin",
    drop: "Bir ses dosyasını buraya bırakın ya da seçin",
    drop_note: "Yalnızca bu cihaza gönderilir ve saklanmaz.",
    model: "Model",
    sending: "Gönderiliyor: {percent}",
    classifying: "Sınıflandırılıyor… {time}",
    song_done: "Şarkının tamamı: {percent} güven, {duration}",
    most_probable: "En olası tür: {genre}",
    song_lane: "Şarkı boyunca türler: {genres}",
    song_failed: "Yanıt yok: {reason}",
    song_lost: "bağlantı kesildi (en fazla 50 MB gönderilebilir)",
    cancelled: "Vazgeçildi",
    cancel: "Vazgeç",
    json: "JSON dosyasını indir",
    health: "Cihazın durumu",
    microphone: "Ses",
    well: "geliyor",
    dropped_windows: "Atlanan",
    delay_p99: "Gecikme p99",
    temperature: "Sıcaklık",
    throttling: "Yavaşlatma",
    none: "yok",
    clock: "Saat",
    synchronised: "eşitlenmiş",
    not_synchronised: "eşitlenmemiş",
    correction: "Ne çalıyordu?",
    correction_what: "{when}, yanıt: {genre}",
    correction_note: "Bu sesin görüntüleri, saati ve türüyle birlikte saklanır. Ses saklanmaz.",
    correction_done: { one: "Bir görüntü {genre} olarak saklandı.", other: "{count} görüntü {genre} olarak saklandı." },
    correction_too_old: "Bu yanıt çok eski: görüntüleri artık bellekte değil.",
    correction_failed: "Hiçbir şey saklanmadı: {reason}",
    corrected: "düzeltildi: {genre}",
  },
};

const STORED = "tmgc.language";

let language = remembered() ?? (navigator.language?.toLowerCase().startsWith("tr") ? "tr" : "en");

function remembered() {
  try {
    const stored = localStorage.getItem(STORED);
    return stored in WORDS ? stored : null;
  } catch {
    return null; // storage may be forbidden
  }
}

export function currentLanguage() {
  return language;
}

export function chooseLanguage(chosen) {
  language = chosen;
  try {
    localStorage.setItem(STORED, chosen);
  } catch {
    // it is not remembered then
  }
}

/** The words for a key, with `{name}` replaced. */
export function t(key, values = {}) {
  let words = WORDS[language][key];
  if (typeof words === "object") words = values.count === 1 ? words.one : words.other;
  return words.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Fill every element that names its words. */
export function translate(root = document) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(element.dataset.tLabel));
  }
  for (const button of root.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", button.dataset.language === language);
  }
}

export function genreName(genre) {
  return genre === "unknown" || genre === "silence" ? t(genre) : genre;
}

export function percent(share) {
  return new Intl.NumberFormat(language, { style: "percent" }).format(share);
}

/** The same, and not 0 % for what is there. */
export function shareOf(part, whole) {
  return part > 0 && part / whole < 0.005 ? `< ${percent(0.01)}` : percent(part / whole);
}

export function number(value, digits = 0) {
  return new Intl.NumberFormat(language, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export function clock(time, seconds = false) {
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(language, seconds ? { ...options, second: "2-digit" } : options).format(new Date(time));
}

/** A length in the two largest units that it has. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hour, minute, second] = language === "tr" ? ["sa", "dk", "sn"] : ["h", "min", "s"];
  const of = (count, unit) => `${count}\u00a0${unit}`;
  if (whole < 60) return of(whole, second);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return of(minutes, minute);
  const hours = of(Math.floor(minutes / 60), hour);
  return minutes % 60 ? `${hours} ${of(minutes % 60, minute)}` : hours;
}

/** A position in a song, such as 1:05. */
export function position(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (!parts[0]) parts.shift();
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

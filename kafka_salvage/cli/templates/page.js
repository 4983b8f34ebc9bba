/* Page: puts tables and bars where they belong. */

const element = (id) => document.getElementById(id);
const HEX_ROW = 16;

function findingLink(place) {
  if (place === undefined || place < 0) return [];
  const finding = FINDINGS[place];
  const text = `${finding.code} in ${finding.where}${finding.bytes ? ", bytes " + finding.bytes : ""}`;
  return [" – ", make("button", { type: "button", class: "link", onclick: () => showFinding(place) }, text)];
}

function showFinding(place) {
  tables.findings.show(place);
  element("finding").scrollIntoView({ block: "nearest" });
}

function showSegment(segment, position) {
  tables.segments.show(segment.place);
  const zoom = views.segment, pieces = zoom.model.lanes[0].pieces;
  if (position !== undefined) {
    zoom.pick(Math.min(pieces.first(position), pieces.lo.length - 1));
    if (pieces.hi[zoom.at] - pieces.lo[zoom.at] < zoom.stop / 8) zoom.close();
  }
  element("segment").scrollIntoView({ block: "nearest" });
}

const bold = (text) => make("b", {}, text);

function mixture(sums, words, noun) {
  return sums.map((count, i) => [Number(count), words[i]]).filter(([count]) => count).map(([count, word]) => `${number(count)} ${noun}${word}`).join(", ");
}

function inView(sums, words, classes, text) {
  const parts = [make("span", {}, "In view:")];
  sums.forEach((count, i) => {
    if (!count) return;
    const key = make("svg", { class: "key", width: 12, height: 10, "aria-hidden": "true" }, make("rect", { width: 12, height: 10, rx: 2, class: classes + words[i] }));
    parts.push(make("span", { "data-name": words[i], "data-count": count }, key, bold(text(count)), " " + words[i]));
  });
  return parts;
}

function spanSaid(partition, row) {
  const [stop, status, absent = 0, source, reason, flags = 0, finding] = partition.spans[row];
  const start = partition.start(row), count = number(from(start, stop));
  if (Array.isArray(status)) return [bold(`${start}..${stop}`), ` ${number(absent)} ranges are drawn as one: ${mixture(status, DATA.statuses, "")}`];
  const notes = [];
  if (name(source)) notes.push("from " + name(source));
  if (name(reason)) notes.push(name(reason));
  if (Number(absent)) notes.push(`${number(absent)} of them absent`);
  if (flags & 1) notes.push("at least: a torn end may have held more");
  if (flags & 2) notes.push("at most: compaction may have removed some before");
  const said = `${Number(count.replaceAll(",", "")) === 1 ? "offset" : "offsets"} ${DATA.statuses[status]}`;
  return [bold(`${start}..${stop}`), ` ${count} ${said}`, notes.length ? " – " + notes.join(", ") : "", ...findingLink(finding)];
}

function copySaid(copy, row) {
  if (row.gave) return [bold(copy.name), ` gave ${row.gave[0]}..${row.gave[1]}`];
  const { segment } = row;
  const start = segment.start(row.row), [stop, verdict, , , offsets, finding] = segment.regions[row.row];
  const look = make("button", { type: "button", class: "link", onclick: () => showSegment(segment, start) }, `bytes ${start}..${stop} of ${segment.file}`);
  return [bold(copy.name), ` ${DATA.verdicts[verdict]}, offsets ${offsets[0]}..${offsets[1]}: `, look, ...findingLink(finding)];
}

function drawPartition(partition) {
  const host = element("partition");
  const records = RECORDS.slice(2).map((kind, i) => [kind, partition.records[i + 2]]).filter(([kind, count]) => count && kind !== "none");
  const facts = [
    partition.spans.length ? `offsets ${partition.base}..${partition.end}` : "empty",
    plural(partition.records[0], "data record"),
    partition.records[1] ? plural(partition.records[1], "control record") : "",
    ...records.map(([kind, count]) => `${number(count)} ${kind}`),
    partition.highWatermark === null ? "" : `high watermark ${partition.highWatermark}`,
    partition.state === "live" ? "" : partition.state,
    partition.topicId ? `topic id ${partition.topicId}` : "",
    partition.selected ? "" : "not selected: not in the sums above",
  ];
  host.replaceChildren(make("h3", {}, partition.name), make("p", { class: "facts" }, facts.filter(Boolean).join(" · ")));
  const copies = partition.copies;
  const lanes = [{ name: "Together", pieces: partition.pieces() }];
  copies.forEach((copy) => lanes.push({ name: copyName(copy), pieces: copy.pieces(partition) }));
  views.partition = new Zoom(host, {
    lanes,
    stop: partition.length,
    base: partition.base,
    label: `Offsets of ${partition.name}`,
    isBad: (lane, row) => (lane ? !row.gave && !isCalm(DATA.verdicts[row.segment.regions[row.row][1]]) : partition.isBad(row)),
    describe: (lane, row) => (lane ? copySaid(copies[lane - 1], row) : spanSaid(partition, row)),
    tally: (start, stop) => inView(partition.tally(start, stop), DATA.statuses, "s-", number),
  });
  host.append(laneKeys(), copyTable(partition));
}

function laneKeys() {
  const key = (kind, text) => make("span", {}, make("svg", { class: "key", width: 12, height: 10, "aria-hidden": "true" }, make("rect", { width: 12, height: 10, rx: 2, class: kind })), text);
  return make("p", { class: "note" }, "Copies: ", key("c-gave", "taken from here  "), key("c-held", "held, not needed  "), key("c-damaged", "damaged here  "), key("c-repaired", "repaired here  "), key("c-odd", "suspect or undecodable here"));
}

function copyName(copy) {
  return copy.state === "live" ? copy.name : `${copy.name} (${copy.state})`;
}

function copyTable(partition) {
  const head = ["Copy", "Offsets", "High watermark", "Intact records", "Offsets it gave", "Only here", "Lost if it alone were kept", "If a broker started here"];
  const rows = partition.copies.map((copy) => {
    const cells = [
      copy.reach ? `${copy.reach[0]}..${copy.reach[1]}` : "none",
      copy.highWatermark ?? "–",
      number(copy.records),
      number(copy.gave),
      number(copy.onlyHere),
      copy.elected === null ? "–" : number(copy.elected),
    ];
    const row = make("tr", {}, make("th", { scope: "row" }, copyName(copy), make("small", {}, copy.path)));
    cells.forEach((cell, i) => row.append(make("td", { class: i > 1 ? "n" : null }, String(cell))));
    row.append(make("td", {}, ...startSaid(copy)));
    return row;
  });
  const titles = make("tr", {});
  head.forEach((title, i) => titles.append(make("th", { scope: "col", class: i > 2 && i < 7 ? "n" : null }, title)));
  const left = partition.omitted ? [make("p", { class: "note" }, `… and ${number(partition.omitted)} more copies, in the report`)] : [];
  return make("div", { class: "scroll" }, make("table", { class: "plain" }, make("thead", {}, titles), make("tbody", {}, ...rows)), ...left);
}

function startSaid(copy) {
  const said = ["after a clean stop", "after a crash"].map((when, i) => {
    const would = copy.would[i];
    if (!would) return null;
    const [starts, destroyed, reason] = would;
    const text = !starts ? `${when}: refuses` : destroyed ? `${when}: destroys ${plural(destroyed, "intact record")}` : `${when}: destroys nothing intact`;
    return make("span", { class: destroyed ? "bad" : null, title: reason || null }, text);
  });
  const parts = said.filter(Boolean);
  return parts.length === 2 ? [parts[0], make("br"), parts[1]] : parts.length ? parts : ["–"];
}

function drawSegment(segment) {
  const host = element("segment");
  const facts = [size(segment.size), plural(segment.batches, "batch"), plural(segment.records, "record"), segment.state === "live" ? "" : segment.state];
  const title = make("h3", {}, SEVERAL ? `${segment.source}:${segment.path}` : segment.path);
  const home = segment.partition ? [" · ", make("button", { type: "button", class: "link", onclick: () => showPartition(segment.partition) }, "its partition")] : [];
  host.replaceChildren(title, make("p", { class: "facts" }, facts.filter(Boolean).join(" · "), ...home));
  const hex = make("div", {});
  views.segment = new Zoom(host, {
    lanes: [{ name: "Bytes", pieces: segment.pieces() }],
    stop: segment.size,
    base: 0,
    label: `Bytes of ${segment.path}`,
    isBad: (lane, row) => segment.isBad(row),
    describe: (lane, row) => {
      const start = segment.start(row);
      const head = segment.heads.map((place) => HEADS[place]).find((each) => each.start === start);
      hex.replaceChildren(...(head ? [hexView(head)] : []));
      return regionSaid(segment, row);
    },
    tally: (start, stop) => inView(segment.tally(start, stop), DATA.verdicts, "v-", size),
  });
  host.append(hex);
}

function regionSaid(segment, row) {
  const [stop, verdict, batches = 0, records = 0, offsets, finding] = segment.regions[row];
  const start = segment.start(row);
  if (Array.isArray(verdict)) return [bold(`bytes ${start}..${stop}`), ` ${number(batches)} ranges are drawn as one: ${mixture(verdict, DATA.verdicts, "bytes ")}`];
  const notes = [`${number(stop - start)} bytes`];
  if (batches) notes.push(plural(batches, "batch"), plural(records, "record"));
  if (offsets) notes.push(`offsets ${offsets[0]}..${offsets[1]}`);
  return [bold(`bytes ${start}..${stop}`), ` ${DATA.verdicts[verdict]} – ${notes.join(", ")}`, ...findingLink(finding)];
}

function showPartition(partition) {
  tables.partitions.show(partition.place);
  element("partition").scrollIntoView({ block: "nearest" });
}

function drawFinding(finding) {
  const host = element("finding");
  host.replaceChildren(make("h3", {}, `${finding.code} `, make("span", { class: "count" }, finding.id)), make("p", {}, finding.message));
  const list = make("dl", {});
  const put = (term, ...text) => list.append(make("dt", {}, term), make("dd", {}, ...text));
  const segment = BY_PATH.get(finding.source + "\n" + finding.path);
  if (segment) put("file", make("button", { type: "button", class: "link", onclick: () => showSegment(segment, finding.start) }, finding.where));
  else put("file", finding.where);
  if (finding.bytes) put("bytes", finding.bytes);
  if (finding.reach) put("offsets", finding.reach);
  finding.detail.forEach(([key, value]) => put(key.replaceAll("_", " "), make("span", { class: "mono" }, value)));
  host.append(list);
  const heads = segment ? segment.heads.map((place) => HEADS[place]) : [];
  const head = heads.find((each) => each.start <= finding.start && finding.start < each.stop);
  if (head) host.append(hexView(head));
}

function hexView(head) {
  const caption = make("figcaption", {}, `The first bytes at ${head.start}, ${head.verdict}: ` + (head.fields.length ? "a batch header stands here. " : "no sane header; length and magic are shown. ") + "Anything that may be payload is masked (··).");
  if (head.problem) return make("figure", { class: "hex" }, make("figcaption", {}, head.problem));
  const cells = [], lines = [];
  for (let at = 0; at < head.cells.length / 2; at++) {
    const text = head.cells.slice(2 * at, 2 * at + 2), masked = text === "..";
    cells.push(make("td", { class: masked ? "m" : null }, masked ? "··" : text));
  }
  for (let at = 0; at < cells.length; at += HEX_ROW) {
    lines.push(make("tr", {}, make("th", { scope: "row" }, (head.start + at).toString(16).padStart(8, "0")), ...cells.slice(at, at + HEX_ROW)));
  }
  const light = (at, width, on) => cells.slice(at, at + width).forEach((cell) => cell.classList.toggle("lit", on));
  const fields = head.fields.map(([field, at, width, value]) => {
    const row = make("tr", { tabindex: "0" }, make("th", { scope: "row" }, field), make("td", {}, String(value)));
    for (const event of ["mouseenter", "focus"]) row.addEventListener(event, () => light(at, width, true));
    for (const event of ["mouseleave", "blur"]) row.addEventListener(event, () => light(at, width, false));
    return row;
  });
  return make("figure", { class: "hex" }, caption, make("table", {}, make("tbody", {}, ...lines)), fields.length ? make("table", { class: "fields" }, make("tbody", {}, ...fields)) : null);
}

const tables = {}, views = {};

function statusColumns() {
  const used = ["lost", "missing", "ambiguous", "undecodable", "suspect", "divergent", "repaired"].filter((status) => PARTITIONS.some((partition) => Number(partition.count(status))));
  const bad = ["lost", "missing", "ambiguous", "undecodable", "suspect"];
  return used.map((status) => ({
    title: status[0].toUpperCase() + status.slice(1), width: "6.6rem", n: true,
    cell: (partition) => (Number(partition.count(status)) ? number(partition.count(status)) : make("span", { class: "nil" }, "–")), key: (partition) => Number(partition.count(status)),
    bad: (partition) => bad.includes(status) && Number(partition.count(status)),
  }));
}

function limits(shown, held, total, noun) {
  const beyond = total > held ? `${number(total - held)} more ${noun} than fit into this page are in the report. ` : "";
  return beyond + (shown < held ? `${number(shown)} of ${number(held)} ${noun} are shown.` : "");
}

function drawPartitions() {
  const several = PARTITIONS.some((partition) => partition.state !== "live");
  const columns = [
    { title: "Partition", width: "minmax(10rem, 1.2fr)", cell: (p) => p.name, key: (p) => p.name },
    ...(several ? [{ title: "State", width: "8rem", cell: (p) => p.state, key: (p) => p.state }] : []),
    { title: "Ledger of offsets", width: "minmax(12rem, 2.4fr)", bar: true, cell: (p) => bar(p.pieces(), p.length, 15, mixture(p.sums, DATA.statuses, "")) },
    { title: "Records", width: "7.5rem", n: true, cell: (p) => number(p.records[0]), key: (p) => p.records[0] },
    ...statusColumns(),
  ];
  const host = element("partitions-table");
  tables.partitions = new Table(host, columns, PARTITIONS, {
    id: "p", label: "partitions", least: "52rem", pick: drawPartition, none: "No partition matches.",
    note: (shown) => limits(shown, PARTITIONS.length, DATA.totals.partitions, "partitions"),
  });
  const harmed = PARTITIONS.filter((partition) => partition.harm).length;
  element("partitions-count").textContent = `${number(DATA.totals.partitions)}, ${number(harmed)} of them damaged or diverging`;
  tools(element("partitions-tools"), tables.partitions, (p) => p.text, [{ label: "only what is not simply recovered", keep: (p) => p.unusual }]);
  tables.partitions.pick(0);
}

function drawSegments() {
  const columns = [
    { title: "Segment", width: "minmax(16rem, 1.8fr)", mono: true, cell: (s) => (SEVERAL ? s.source + ":" + s.path : s.path), key: (s) => s.source + ":" + s.path },
    { title: "Bytes by verdict", width: "minmax(12rem, 2fr)", bar: true, cell: (s) => bar(s.pieces(), s.size, 15, mixture(s.sums, DATA.verdicts, "bytes ")) },
    { title: "Size", width: "6.5rem", n: true, cell: (s) => size(s.size), key: (s) => s.size },
    { title: "Harmed", width: "6.5rem", n: true, cell: (s) => (s.harmed ? size(s.harmed) : "–"), key: (s) => s.harmed, bad: (s) => s.harmed },
    { title: "Places", width: "5rem", n: true, cell: (s) => (s.damages ? number(s.damages) : "–"), key: (s) => s.damages },
    { title: "Records", width: "7rem", n: true, cell: (s) => number(s.records), key: (s) => s.records },
  ];
  tables.segments = new Table(element("segments-table"), columns, SEGMENTS, {
    id: "s", label: "segments", least: "56rem", pick: drawSegment, none: "No segment matches.",
    note: (shown) => limits(shown, SEGMENTS.length, DATA.totals.segments, "segments"),
  });
  const harmed = SEGMENTS.filter((segment) => segment.harmed).length;
  element("segments-count").textContent = `${number(DATA.totals.segments)}, ${number(harmed)} of them harmed`;
  tools(element("segments-tools"), tables.segments, (s) => s.text, [{ label: "only harmed ones", keep: (s) => s.harmed }]);
  if (SEGMENTS.length) tables.segments.pick(0);
}

function drawFindings() {
  const columns = [
    { title: "Code", width: "11rem", cell: (f) => f.code, key: (f) => f.code },
    { title: "File", width: "minmax(14rem, 1.4fr)", mono: true, cell: (f) => f.where, key: (f) => f.where },
    { title: "Bytes", width: "10rem", mono: true, cell: (f) => f.bytes || "–", key: (f) => f.start },
    { title: "Offsets", width: "9rem", mono: true, cell: (f) => f.reach || "–", key: (f) => (f.offsets ? Number(f.offsets[0]) : -1) },
    { title: "What was found", width: "minmax(14rem, 2fr)", cell: (f) => f.message, key: (f) => f.message },
  ];
  const codes = DATA.codes.map(([code, count]) => `${code} ${number(count)}`).join(" · ");
  tables.findings = new Table(element("findings-table"), columns, FINDINGS, {
    id: "f", label: "findings", least: "64rem", shown: 10, pick: drawFinding, none: "Nothing was found.",
    note: (shown) => [codes, limits(shown, FINDINGS.length, DATA.totals.findings, "findings")].filter(Boolean).join(". "),
  });
  element("findings-count").textContent = number(DATA.totals.findings);
  if (!FINDINGS.length) return;
  tools(element("findings-tools"), tables.findings, (f) => f.text, []);
  tables.findings.pick(0);
}

function drawSums() {
  document.querySelectorAll("[data-sum]").forEach((part) => {
    const [words, set] = part.dataset.sum === "offsets" ? [DATA.statuses, STATUS] : [DATA.verdicts, VERDICT];
    const sums = words.map((word) => Number(part.querySelector(`tr[data-name="${word}"]`)?.dataset.count || 0));
    part.querySelector("[data-whole]").replaceChildren(sumsBar(sums, set, 28, mixture(sums, words, "")));
  });
  document.querySelectorAll("td[data-sums]").forEach((cell) => {
    const sums = cell.dataset.sums.split(" ").map(Number);
    cell.replaceChildren(sumsBar(sums, VERDICT, 16, mixture(sums, DATA.verdicts, "bytes ")));
  });
}

function offerLooks() {
  const look = document.querySelector(".look"), buttons = [...look.querySelectorAll("button")];
  look.hidden = false;
  buttons.forEach((button) => button.addEventListener("click", () => {
    buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
    if (button.dataset.look === "auto") delete document.documentElement.dataset.look;
    else document.documentElement.dataset.look = button.dataset.look;
  }));
  const line = document.querySelector(".command pre");
  const copy = make("button", { type: "button", onclick: () => {
    getSelection().selectAllChildren(line);
    document.execCommand("copy");
    copy.textContent = "Copied";
  } }, "Copy");
  line.after(copy);
}

offerLooks();
drawSums();
drawFindings();
drawSegments();
drawPartitions();

/* Words: numbers, sizes and elements. Offsets that a number cannot hold exactly arrive as text. */

const DATA = JSON.parse(document.getElementById("data").textContent);
const grouped = new Intl.NumberFormat("en-US");

function number(value) {
  return grouped.format(typeof value === "string" ? BigInt(value) : value);
}

function plural(count, noun) {
  return number(count) + " " + noun + (Number(count) === 1 ? "" : noun.endsWith("ch") ? "es" : "s");
}

function size(count) {
  const units = ["B", "KiB", "MiB", "GiB"];
  for (const unit of units) {
    if (count < 1024) return unit === "B" ? count + " B" : count.toFixed(1) + " " + unit;
    count /= 1024;
  }
  return count.toFixed(1) + " TiB";
}

function name(place) {
  return place === undefined || place < 0 ? "" : DATA.names[place];
}

/* `value - base`, as a number to draw with. */
function from(base, value) {
  if (typeof value === "number" && typeof base === "number") return value - base;
  return Number(BigInt(value) - BigInt(base));
}

/* `base + step`, exactly where a number can be exact. */
function onward(base, step) {
  if (typeof base === "number" && Number.isSafeInteger(base + step)) return String(base + step);
  return String(BigInt(base) + BigInt(Math.round(step)));
}

function sum(values) {
  let total = 0;
  for (const value of values) total += Number(value);
  return total;
}

/* An element; what comes from evidence goes in as text, never as markup. */
function make(tag, attributes, ...children) {
  const svg = tag === "svg" || tag === "path" || tag === "rect";
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

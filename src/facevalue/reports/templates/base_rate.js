"use strict";
// The share of positive answers that are right, at the base rate that the reader types; as in reports/base_rate.py.
const place = document.getElementById("base-rate");
const figure = (name) => Number(place.dataset[name]);
const share = (found, accused, rate) => {
  const right = found * rate, wrong = accused * (1 - rate);
  return right + wrong === 0 ? null : right / (right + wrong);
};
const percent = (value) => (value === null ? "–" : (100 * value).toFixed(1) + " %");
const show = () => {
  const rate = Number(place.querySelector("input").value) / 100;
  const known = rate >= 0 && rate <= 1 && place.querySelector("input").value !== "";
  const low = share(figure("foundLow"), figure("accusedHigh"), rate);
  const high = share(figure("foundHigh"), figure("accusedLow"), rate);
  place.querySelector("output").textContent = known
    ? percent(share(figure("found"), figure("accused"), rate)) + " (" + percent(low === null ? 0 : low) + " to " + percent(high === null ? 1 : high) + ")"
    : "type a rate from 0 to 100";
};
place.querySelector("form").hidden = false;
place.querySelector("input").addEventListener("input", show);
place.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
show();

// The heat map over an image, where the network saw it.

const LONGEST = 320;

/**
 * Draw a map of rows of numbers in [0, 1] over an image of width x height pixels.
 * The map covers the network's square, and the preprocessing says where in the image that square lies.
 */
export function drawHeat(canvas, heat, width, height, preprocessing) {
  const scale = LONGEST / Math.max(width, height);
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  const { box, face_margin } = preprocessing;
  const place = box && face_margin != null ? around(box, face_margin, width, height).map((x) => x * scale) : null;
  context.drawImage(coloured(heat), ...(place ?? square(canvas.width, canvas.height, preprocessing)));
}

/** [left, top, width, height] of the square around a face: inside the image, as the network saw it. */
function around([left, top, width, height], margin, ...sides) {
  const side = Math.min(Math.round(Math.max(width, height) * (1 + 2 * margin)), ...sides);
  const at = [left + (width - side) / 2, top + (height - side) / 2];
  return [...at.map((x, i) => Math.min(Math.max(0, x), sides[i] - side)), side, side];
}

/** [left, top, width, height] of the network's square in an image; beyond the image where it is padded. */
function square(width, height, { fit, crop_fraction }) {
  if (fit === "squash") return [0, 0, width, height];
  const edge = fit === "crop" ? Math.min(width, height) * crop_fraction : Math.max(width, height);
  return [(width - edge) / 2, (height - edge) / 2, edge, edge];
}

function coloured(heat) {
  const small = document.createElement("canvas");
  small.width = heat[0].length;
  small.height = heat.length;
  const context = small.getContext("2d");
  const image = context.createImageData(small.width, small.height);
  heat.flat().forEach((value, i) => image.data.set(colour(value), 4 * i));
  context.putImageData(image, 0, 0);
  return small;
}

/** From clear over yellow to deep red: red, green, blue, opacity in 0 to 255. */
function colour(value) {
  return [255 - 45 * value, 215 * (1 - value) ** 0.8 + 10, 40 * (1 - value) + 20, 255 * Math.min(1, 1.1 * value)];
}

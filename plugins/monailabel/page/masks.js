// Masks as Uint8Array of 0 and 1, one value a pixel, and their PNGs.

function canvasOf(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

export async function maskFromPng(text, width, height) {
  const picture = new Image();
  picture.src = `data:image/png;base64,${text}`;
  await picture.decode();
  const context = canvasOf(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  const mask = new Uint8Array(width * height);
  for (let i = 0; i < mask.length; i++) mask[i] = pixels[4 * i] > 127 ? 1 : 0;
  return mask;
}

export function maskToPng(mask, width, height) {
  const canvas = canvasOf(width, height);
  const data = new ImageData(width, height);
  for (let i = 0; i < mask.length; i++) {
    data.data.fill(mask[i] ? 255 : 0, 4 * i, 4 * i + 3);
    data.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
}

export function union(masks, length) {
  const all = new Uint8Array(length);
  for (const mask of masks) for (let i = 0; i < length; i++) all[i] |= mask[i];
  return all;
}

export function area(mask) {
  let count = 0;
  for (const value of mask) count += value;
  return count;
}

// A picture of the mask: its pixels in a colour, its outline opaque.
export function paint(mask, width, height, [red, green, blue], strength) {
  const canvas = canvasOf(width, height);
  const data = new ImageData(width, height);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!mask[i]) continue;
      const inside = x > 0 && y > 0 && x < width - 1 && y < height - 1
        && mask[i - 1] && mask[i + 1] && mask[i - width] && mask[i + width];
      data.data[4 * i] = red;
      data.data[4 * i + 1] = green;
      data.data[4 * i + 2] = blue;
      data.data[4 * i + 3] = inside ? strength : 255;
    }
  }
  canvas.getContext("2d").putImageData(data, 0, 0);
  return canvas;
}

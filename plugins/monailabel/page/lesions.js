// The table of stenoses.

function cell(kind, text) {
  return Object.assign(document.createElement(kind), { textContent: text });
}

const number = (value, digits) => (typeof value === "number" ? value.toFixed(digits) : "–");

export function lesionTable({ lesions, warnings }) {
  const part = document.createDocumentFragment();
  if (lesions.length) {
    const inMm = lesions.some((row) => typeof row.mld_mm === "number");
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const name of ["No., segment", "%DS", inMm ? "MLD (mm)" : "MLD (px)", "Score"]) {
      const title = cell("th", name);
      title.scope = "col";
      head.append(title);
    }
    const body = table.createTBody();
    for (const [index, row] of lesions.entries()) {
      const line = body.insertRow();
      const name = cell("th", `${index + 1} ${row.segment ?? ""}`.trim());
      name.scope = "row";
      const size = inMm ? number(row.mld_mm, 2) : number(row.mld_px, 1);
      line.append(name, cell("td", number(row.percent_diameter_stenosis, 0)), cell("td", size),
        cell("td", number(row.score, 2)));
      if (row.not_measurable_because) line.title = row.not_measurable_because;
    }
    part.append(table);
  } else {
    part.append(cell("p", "No stenosis was found."));
  }
  for (const warning of warnings) part.append(cell("p", warning));
  return part;
}

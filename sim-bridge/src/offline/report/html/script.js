'use strict';
const tip = document.getElementById('tip');
const show = (event, text) => {
  tip.textContent = text;
  tip.hidden = false;
  const x = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const y = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8);
  tip.style.left = x + 'px';
  tip.style.top = y + 'px';
};
for (const svg of document.querySelectorAll('svg[data-chart]')) {
  const chart = JSON.parse(svg.dataset.chart);
  const cross = document.createElementNS('http://www.w3.org/2000/svg', 'line');
  cross.setAttribute('class', 'cross');
  cross.setAttribute('y1', chart.top);
  cross.setAttribute('y2', chart.bottom);
  const hide = () => { cross.remove(); tip.hidden = true; };
  svg.addEventListener('pointerleave', hide);
  svg.addEventListener('pointermove', event => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    const share = (x - chart.left) / (chart.right - chart.left);
    const time = share * chart.span;
    const at = Math.round(time / chart.every);
    if (share < 0 || 1 < share || chart.count <= at) return hide();
    const place = chart.left + Math.min(1, at * chart.every / (chart.span || 1)) * (chart.right - chart.left);
    cross.setAttribute('x1', place);
    cross.setAttribute('x2', place);
    svg.append(cross);
    const rows = chart.lines.map(line => {
      const value = line.values[at];
      return line.label + ': ' + (value === null ? 'none' : value + chart.unit);
    });
    show(event, [(at * chart.every).toFixed(1) + ' ' + chart.time, ...rows].join('\n'));
  });
}
for (const svg of document.querySelectorAll('svg.tips')) {
  svg.addEventListener('pointerleave', () => { tip.hidden = true; });
  svg.addEventListener('pointermove', event => {
    const text = event.target.dataset && event.target.dataset.tip;
    if (text) show(event, text); else tip.hidden = true;
  });
}

/** The page's style: system fonts, two schemes, one column that holds from 320 px on, paper. */

/** Goes into the page as it is: nothing in it comes from outside. */
export const STYLE = `
:root{color-scheme:light dark;--ink:#191c20;--soft:#565e68;--rule:#d8dce1;--bg:#fff;--panel:#f5f6f8;--mark:#2457a6;
--good:#0a6847;--bad:#a8231b;--open:#4a5568;--good-bg:#e4f3ec;--bad-bg:#fbe9e7;--open-bg:#edf0f4}
@media (prefers-color-scheme:dark){:root{--ink:#e6e8eb;--soft:#a2abb6;--rule:#353b43;--bg:#131619;--panel:#1b1f24;
--mark:#8db8ff;--good:#6bd6ab;--bad:#ff958b;--open:#b3bdca;--good-bg:#12302a;--bad-bg:#3a1d1b;--open-bg:#252b33}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",
Arial,sans-serif;overflow-wrap:anywhere;-webkit-text-size-adjust:100%}
main,header,footer{max-width:1040px;margin:0 auto;padding:0 16px}
header{padding-top:40px}
h1{font-size:30px;line-height:1.2;margin:4px 0 2px;letter-spacing:-.015em}
h2{font-size:20px;line-height:1.3;margin:0 0 4px;letter-spacing:-.01em}
h3{font-size:15px;margin:28px 0 6px}
p{margin:6px 0}
a{color:var(--mark)}
.soft,figcaption,caption{color:var(--soft);font-size:14px}
.lead{font-size:20px;line-height:1.45;margin:18px 0 14px;max-width:46em}
p.wide,.because{max-width:46em}.because{margin:-4px 0 14px}
section{padding:28px 0 26px;border-top:1px solid var(--rule)}
.answer{border:0;padding-top:8px}
.chip{display:inline-block;border-radius:999px;padding:2px 12px;font-size:14px;font-weight:600;white-space:nowrap}
.good{color:var(--good);background:var(--good-bg)}.bad{color:var(--bad);background:var(--bad-bg)}
.open{color:var(--open);background:var(--open-bg)}
dl.next{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin:0;max-width:52em}
dl.next dt{color:var(--soft)}dl.next dd{margin:0}
nav{margin:18px 0 4px;font-size:14px}nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:2px 16px;margin:0;padding:0}
.claims{list-style:none;margin:10px 0 0;padding:0}
.claims>li{display:grid;grid-template-columns:minmax(0,1fr) 340px 148px;gap:4px 24px;align-items:center;padding:12px 0;
border-top:1px solid var(--rule)}
.claims>li:first-child{border-top:0}
.claims b{font-weight:600}
.claims .chip{justify-self:start}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,310px),1fr));gap:24px 28px;margin-top:14px}
figure{margin:0;min-width:0}figcaption{margin:0 0 4px}figcaption b{color:var(--ink);font-weight:600}
svg{display:block;width:100%;max-width:400px;height:auto;overflow:visible}
svg.wide{max-width:none}svg.narrow{display:none;max-width:480px}
svg text{font:11px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:var(--soft);unicode-bidi:isolate}
.axis{stroke:var(--rule);stroke-width:1;fill:none}.zero{stroke:var(--soft);stroke-width:1}
.asked{stroke:var(--ink);stroke-width:1.25;stroke-dasharray:4 3}
.band{fill:var(--mark);opacity:.16}.estimate{fill:none;stroke:var(--mark);stroke-width:2}
.bound{fill:none;stroke:var(--mark);stroke-width:1;opacity:.75}
.bar{stroke-width:2.5}.bar.hollow{stroke:var(--open)}
.pass{stroke:var(--good);fill:var(--good)}.harm{stroke:var(--bad);fill:var(--bad)}
.hollow{stroke:var(--open);fill:var(--bg)}.dot{stroke-width:2}
.takeover{fill:none;stroke:var(--good);stroke-width:2;stroke-dasharray:6 3}
.tick{stroke:var(--soft);stroke-width:1;stroke-dasharray:1 3}
.badge{fill:var(--bg);stroke:var(--soft);stroke-width:1}.badge.pass{stroke:var(--good);fill:var(--bg);stroke-width:2}
.badge.harm{stroke:var(--bad);fill:var(--bg);stroke-width:2}svg text.num{fill:var(--ink);text-anchor:middle;font-size:10px}
.scroll{overflow-x:auto;margin-top:10px}
.scroll:focus-visible,summary:focus-visible,a:focus-visible{outline:2px solid var(--mark);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
caption{text-align:left;padding-bottom:4px}
th,td{text-align:left;padding:6px 14px 6px 0;border-bottom:1px solid var(--rule);vertical-align:top;overflow-wrap:normal}
th{font-weight:600}thead th{color:var(--soft);font-weight:500;vertical-align:bottom}
.n{text-align:right;white-space:nowrap}.pic{min-width:230px;width:300px}td.pic{padding-top:2px;padding-bottom:2px}
td.name{overflow-wrap:anywhere;min-width:90px}
.note{background:var(--panel);border-left:3px solid var(--soft);padding:8px 14px;margin:12px 0;font-size:14px;max-width:60em}
.note.bad{border-color:var(--bad);color:var(--ink);background:var(--bad-bg)}
details{margin-top:10px}summary{cursor:pointer;color:var(--mark);font-size:14px;padding:3px 0}
.log{list-style:none;margin:10px 0 0;padding:0}.log li{display:grid;grid-template-columns:48px 200px minmax(0,1fr);gap:0 16px;
padding:10px 0;border-top:1px solid var(--rule)}.log .soft{overflow-wrap:anywhere}
footer{padding-top:20px;padding-bottom:48px;border-top:1px solid var(--rule)}
@media (max-width:760px){header{padding-top:24px}h1{font-size:25px}.lead{font-size:18px}
.claims>li{grid-template-columns:minmax(0,1fr)}svg.wide{display:none}svg.narrow{display:block}
.log li{grid-template-columns:40px minmax(0,1fr)}.log li>:nth-child(3){grid-column:2}dl.next{grid-template-columns:1fr;gap:0}
dl.next dd{margin-bottom:8px}}
@media print{:root{color-scheme:light;--ink:#000;--soft:#444;--rule:#bbb;--bg:#fff;--panel:#fff;--mark:#1d4d99;--good:#0a6847;
--bad:#a8231b;--open:#444;--good-bg:#fff;--bad-bg:#fff;--open-bg:#fff}body{font-size:11pt}nav{display:none}
section{break-inside:auto}figure,.claims>li,.log li,tr{break-inside:avoid}.chip{border:1px solid}.scroll{overflow:visible}}
`;

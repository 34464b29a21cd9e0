// Filters of the front page: words, area and verdict, kept in the address so that a view can be shared.
const gallery = document.querySelector(".gallery");
if (gallery) {
  const inputs = ["words", "area", "verdict"].map((id) => document.getElementById(id));
  const cards = [...gallery.children];
  const query = new URLSearchParams(location.search);
  inputs.forEach((input) => { input.value = query.get(input.id) ?? ""; });
  const has = (list, wanted) => !wanted || list.split("|").includes(wanted);
  const show = () => {
    const [words, area, verdict] = inputs.map((input) => input.value.trim());
    const needed = words.toLowerCase().split(/\s+/);
    for (const card of cards) {
      const { words: text, areas, verdicts } = card.dataset;
      card.hidden = !(needed.every((word) => text.includes(word)) && has(areas, area) && has(verdicts, verdict));
    }
    const count = cards.filter((card) => !card.hidden).length;
    document.getElementById("shown").textContent = count === 1 ? "1 paper" : `${count} papers`;
    const kept = new URLSearchParams(inputs.filter((input) => input.value).map((input) => [input.id, input.value]));
    history.replaceState(null, "", kept.size ? `?${kept}` : location.pathname);
  };
  inputs.forEach((input) => input.addEventListener("input", show));
  show();
}

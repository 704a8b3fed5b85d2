// Before the first paint: the theme that was chosen, else what the system says.
{
  const chosen = localStorage.getItem("onesense.theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}

"""A page on which trained models are tried: what they say, and what they looked at."""

import functools
from pathlib import Path

from kattn import attention_page
from kattn.datasets.description import describe
from kattn.demo_examples import EXAMPLES
from kattn.listing import presets
from kattn.models import TextClassifier
from kattn.models.families import family
from kattn.models.presets import locate

_HOST = "127.0.0.1"  # this machine alone
_LONGEST = 100_000  # characters of a text, which a browser still shows at once
_CLASSES = 6  # are shown at most
_FIRST = "han_bbc_en"  # is shown first where it is among those to pick from
_TITLE = "What did the model look at?"
_ABOUT = """\
Pick a trained model and type or paste a text. The stronger the colour of a word, the
more attention it got. That is where the model looked, and not always why it decided as
it did: the line *Without its strongest words* tells whether they mattered.
"""
_FONT = ["system-ui", "sans-serif"]
# The texts stand in a block as Gradio's, in its colours.
_STYLE = """\
.gradio-container .html-container { padding: 0; }
.gradio-container .kattn {
  --page: var(--block-background-fill); --ink: var(--body-text-color);
  --soft: var(--block-label-text-color); --line: var(--border-color-primary);
  max-width: none; padding: .8rem 1rem;
  border: 1px solid var(--line); border-radius: var(--block-radius);
}
"""


def serve(wanted=None, port=None) -> None:
    """Show the page until it is stopped with Ctrl-C.

    It is served to this machine alone and fetches nothing from elsewhere. A preset is
    loaded when it is first picked.

    Args:
        wanted: Names, folders or handles of presets; all that come with kattn if
            there is none.
        port: The port to listen on; if `None` the first free one from 7860 on.

    Raises:
        ImportError: If Gradio is not installed.
        ValueError: If there is no such preset.
        OSError: If the port is taken.
    """
    for name in wanted or ():
        locate(name)
    gradio = _gradio()
    ours = [preset.name for preset in presets() if not preset.writes]
    page = _page(gradio, wanted or ours)
    try:
        _, url, _ = page.launch(
            server_name=_HOST,
            server_port=port,
            share=False,
            quiet=True,
            show_error=True,
            prevent_thread_lock=True,
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            theme=gradio.themes.Default(font=_FONT, font_mono=_FONT),
            css=_STYLE,
        )
    except (OSError, OverflowError) as error:
        raise OSError(
            f"The page finds no free port. Received: port {port or 'from 7860 on'}; "
            "choose another with --port."
        ) from error
    print(f"The page is at {url} (Ctrl-C stops it).", flush=True)
    page.block_thread()


def _gradio():
    try:
        import gradio
    except ImportError as error:
        raise ImportError(
            'The page needs Gradio. Install it with `pip install "kattn[demo]"`.'
        ) from error
    return gradio


def _page(gr, wanted):
    """The page, as a `gradio.Blocks`."""
    load = functools.cache(TextClassifier.from_preset)

    def choose(name, text, other):
        """What changes with the preset; a text of the user's own stays."""
        fields = load(name).preprocessor.fields
        examples = _examples(name, len(fields))
        if not text.strip() or _is_example(text):
            text, other = (*examples[0], "")[:2]
        shown = [[" → ".join(example)] for example in examples]
        return (
            _about(name),
            gr.Textbox(text, label=fields[0].capitalize()),
            gr.Textbox(other, visible=len(fields) > 1),
            gr.Dataset(samples=shown),
        )

    def read(name, text, other):
        """The probabilities, and the text with its words shaded."""
        classifier = load(name)
        parts = [text, other][: len(classifier.preprocessor.fields)]
        if not all(part.strip() for part in parts):
            several = "both texts" if len(parts) > 1 else "a text"
            return None, f"<p>Type or paste {several}, or pick an example.</p>"
        if max(map(len, parts)) > _LONGEST:
            return None, (
                f"<p>This page reads up to {_LONGEST:,} characters. Received: "
                f"{max(map(len, parts)):,}. For more there is "
                "<code>python -m kattn predict</code>.</p>"
            )
        texts = ([parts[0]], [parts[1]]) if len(parts) > 1 else parts
        explanations = classifier.explain(texts)
        return explanations[0].probabilities, attention_page.fragment(explanations)

    def pick(name, number):
        """The texts of an example."""
        fields = load(name).preprocessor.fields
        return (*_examples(name, len(fields))[number], "")[:2]

    first = _FIRST if _FIRST in wanted else wanted[0]
    with gr.Blocks(title="kattn", analytics_enabled=False) as page:
        gr.Markdown(f"# {_TITLE}\n{_ABOUT}")
        with gr.Row():
            with gr.Column(scale=2):
                preset = gr.Dropdown(wanted, value=first, label="Model")
                about = gr.Markdown()
                text = gr.Textbox(label="Text", lines=5, max_lines=20)
                other = gr.Textbox(label="Hypothesis", lines=2, visible=False)
                button = gr.Button("Read it", variant="primary")
                examples = gr.Dataset(
                    components=[gr.Textbox(visible=False)],
                    samples=[],
                    label="Examples",
                    type="index",
                )
            with gr.Column(scale=3):
                said = gr.Label(label="The model says", num_top_classes=_CLASSES)
                seen = gr.HTML(apply_default_css=False)
        given = [preset, text, other]
        # One at a time: a preset is loaded once, and has all cores.
        alone = {"concurrency_id": "model", "concurrency_limit": 1}
        alone["api_visibility"] = "private"
        reading = {"fn": read, "inputs": given, "outputs": [said, seen], **alone}
        chosen = gr.on(
            [page.load, preset.input],
            choose,
            inputs=given,
            outputs=[about, text, other, examples],
            **alone,
        )
        chosen.then(**reading)
        picked = examples.click(
            pick, inputs=[preset, examples], outputs=[text, other], **alone
        )
        picked.then(**reading)
        gr.on([button.click, text.submit, other.submit], **reading)
    return page


def _examples(name, fields):
    """Examples for a preset, of its corpus where that is known."""
    name = Path(name).name
    corpora = {preset.name: preset.corpus for preset in presets()}
    corpus = corpora.get(name)
    if corpus not in EXAMPLES:
        chinese = name.endswith("_zh")
        texts, pairs = ("chnsenticorp", "afqmc") if chinese else ("imdb", "sick")
        corpus = pairs if fields > 1 else texts
    return EXAMPLES[corpus]


def _is_example(text):
    return any(text in one for examples in EXAMPLES.values() for one in examples)


def _about(name):
    """A preset of ours in a sentence."""
    for preset in presets():
        if preset.name == name:
            return (
                f"{family(preset.model).title}, trained on "
                f"{describe(preset.corpus).title}. Of its test split it gets "
                f"{preset.accuracy:.1%} right."
            )
    return ""

/**
 * Plain ChatML, for checkpoints without a template of their own: every message in its frame, then the opening of
 * the assistant's turn. `enable_thinking: false` closes an empty thought first, as Qwen3 models expect it.
 */
export const chatmlTemplateText = `{%- for message in messages %}
  {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
  {{- '<|im_start|>assistant\\n' }}
  {%- if enable_thinking is defined and enable_thinking is false %}
    {{- '<think>\\n\\n</think>\\n\\n' }}
  {%- endif %}
{%- endif %}`;

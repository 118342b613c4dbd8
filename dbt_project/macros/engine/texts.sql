{#- Number of rows whose text is one of several. -#}
{% macro count_in(text, texts) -%}
    count(case when {{ text }} in ('{{ texts | join("', '") }}') then 1 end)
{%- endmacro %}

{#- Text of one member of a JSON object; null when it is absent. -#}
{% macro json_text(json, member) -%}
    {{ adapter.dispatch('json_text')(json, member) }}
{%- endmacro %}

{% macro duckdb__json_text(json, member) -%}
    json_extract_string({{ json }}, '$.{{ member }}')
{%- endmacro %}

{% macro spark__json_text(json, member) -%}
    get_json_object({{ json }}, '$.{{ member }}')
{%- endmacro %}

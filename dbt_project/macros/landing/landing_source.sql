{#-
    The files of one landing table. The source node stays a real dbt source, so that lineage and unit tests see it.
    DuckDB reads the glob in the source's `external_location`; Spark reads the folder.
-#}
{% macro landing_source(entity) -%}
    {{ adapter.dispatch('landing_source')(entity) }}
{%- endmacro %}

{% macro duckdb__landing_source(entity) -%}
    {{ source('landing', entity) }}
{%- endmacro %}

{% macro spark__landing_source(entity) -%}
    {%- do source('landing', entity) -%}
    parquet.`{{ var('landing_path') }}/deliveries/*/{{ entity }}`
{%- endmacro %}

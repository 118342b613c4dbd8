{#-
    The files of one landing table. The source node stays a real dbt source, so that lineage and unit tests see it.
    DuckDB reads the glob in the source's `external_location`, where `$landing_path` stands for the variable: a parsed
    project then holds for every folder. Spark reads the folders, and joins the columns of all deliveries by name as well.
-#}
{% macro landing_source(entity) -%}
    {{ adapter.dispatch('landing_source')(entity) }}
{%- endmacro %}

{% macro duckdb__landing_source(entity) -%}
    {{ source('landing', entity) | string | replace('$landing_path', var('landing_path')) }}
{%- endmacro %}

{% macro spark__landing_source(entity) -%}
    {{ spark_files(source('landing', entity), var('landing_path') ~ '/deliveries/*/' ~ entity) }}
{%- endmacro %}

{#- The files of a landing table that lie in one folder per UTC month, with the month as the column `read_month`. -#}
{% macro landing_source_by_month(entity) -%}
    {{ adapter.dispatch('landing_source_by_month')(entity) }}
{%- endmacro %}

{% macro duckdb__landing_source_by_month(entity) -%}
    {{ duckdb__landing_source(entity) }}
{%- endmacro %}

{#-
    Spark finds partitions below one root only, and every delivery is a root. The month is taken out of the path, and
    a condition on it is judged by the path alone: files of other months are not opened.
-#}
{% macro spark__landing_source_by_month(entity) -%}
    (
        select
            *,
            cast(regexp_extract(_metadata.file_path, 'read_month=([^/]+)', 1) as date) as read_month
        from {{ spark_files(source('landing', entity), var('landing_path') ~ '/deliveries/*/' ~ entity ~ '/*', false) }}
    )
{%- endmacro %}

{#- Parquet files in place of a source; the `relation` is asked for so that dbt knows what is read. -#}
{% macro spark_files(relation, path, has_various_columns=true) -%}
    parquet.`{{ path }}`{{ ' with (mergeSchema = true)' if has_various_columns }}
{%- endmacro %}

{#- Balance points of heating that are tried for each customer, in degrees Celsius of the day's mean. -#}
{% macro portrait_heating_grid() -%}
    {{ return([8, 10, 12, 14, 16]) }}
{%- endmacro %}

{#- Balance points of cooling that are tried. All lie above those of heating, so no day both heats and cools. -#}
{% macro portrait_cooling_grid() -%}
    {{ return([20, 22, 24, 26]) }}
{%- endmacro %}

{#-
    Words for the shape of a day: without energy, flat, or the four hours in which its largest interval falls, with a
    broad or a sharp peak.
-#}
{% macro portrait_day_words() -%}
    {%- set words = ['zero', 'flat'] -%}
    {%- for peak in ['broad', 'sharp'] -%}
    {%- for hour in range(0, 24, 4) -%}{%- do words.append(peak ~ '_' ~ hour) -%}{%- endfor -%}
    {%- endfor -%}
    {{ return(words) }}
{%- endmacro %}

with source as (

    select * from {{ prediction_source('tariff_recommendations') }}

),

final as (

    select
        customer_key,
        cast(release as {{ type_string() }}) as release,
        cast(current_tariff_id as {{ type_string() }}) as current_tariff_id,
        cast(recommended_tariff_id as {{ type_string() }}) as recommended_tariff_id,
        cast(recommended_options as {{ type_string() }}) as recommended_options,
        cast(load_basis as {{ type_string() }}) as load_basis,
        cast(is_switch_recommended as boolean) as is_switch_recommended,
        cast(price_is_verified as boolean) as price_is_verified,
        cast(current_annual_amount as double) as current_annual_amount,
        cast(recommended_annual_amount as double) as recommended_annual_amount,
        cast(expected_saving_amount as double) as expected_saving_amount,
        cast(saving_lower_amount as double) as saving_lower_amount,
        cast(saving_upper_amount as double) as saving_upper_amount,
        cast(saving_probability as double) as saving_probability,
        {{ month_number('as_of_month') }} as as_of_month_number,
        cast(as_of_month as date) as as_of_month
    from source

)

select * from final
